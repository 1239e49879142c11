//! How much live searches find of what there is: one in so many is done again by comparing everything.

use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use index::shard::Found;

/// Measured searches of a shard after which it is decided how hard searches look.
const WINDOW: u64 = 32;

/// Counts for the shards of one generation.
#[derive(Debug)]
pub(crate) struct Meter {
    every: u64,
    /// The recall that searches are to have; 0 lets them look as they do.
    target: f64,
    searches: AtomicU64,
    shards: BTreeMap<u32, Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    searches: AtomicU64,
    wanted: AtomicU64,
    found: AtomicU64,
    /// What was wanted and found when it was last decided how hard to look.
    decided: Mutex<(u64, u64)>,
}

/// What was measured of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Recall {
    /// Searches that were done again.
    pub(crate) searches: u64,
    /// The share of the true best that they had found.
    pub(crate) recall: f64,
}

impl Meter {
    /// Measures one in `every` searches, none if it is 0.
    pub(crate) fn new(every: u64, target: f64, shards: impl IntoIterator<Item = u32>) -> Self {
        let shards = shards.into_iter();
        Self {
            every,
            target,
            searches: AtomicU64::new(0),
            shards: shards.map(|shard| (shard, Counts::default())).collect(),
        }
    }

    /// Counts a search; whether it is to be done again.
    pub(crate) fn is_due(&self) -> bool {
        self.every > 0
            && self
                .searches
                .fetch_add(1, Relaxed)
                .is_multiple_of(self.every)
    }

    /// Takes up what a search found and what there was. Returns from time to time that searches of the shard find less than they
    /// should: they are to look harder.
    pub(crate) fn count(&self, shard: u32, found: &Found, truth: &Found) -> bool {
        let Some((counts, last)) = self.shards.get(&shard).zip(truth.hits.last()) else {
            return false;
        };
        // Equal scores are as good as each other.
        let right = found.hits.iter().filter(|hit| hit.score >= last.score);
        let right = right.count() as u64;
        let found = counts.found.fetch_add(right, Relaxed) + right;
        let hits = truth.hits.len() as u64;
        let wanted = counts.wanted.fetch_add(hits, Relaxed) + hits;
        let searches = counts.searches.fetch_add(1, Relaxed) + 1;
        if self.target == 0.0 || !searches.is_multiple_of(WINDOW) {
            return false;
        }
        let mut decided = counts
            .decided
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (wanted_before, found_before) = mem::replace(&mut *decided, (wanted, found));
        let of = wanted.saturating_sub(wanted_before).max(1);
        (found.saturating_sub(found_before) as f64) < self.target * of as f64
    }

    /// What was measured of a shard so far.
    pub(crate) fn recall(&self, shard: u32) -> Recall {
        let Some(counts) = self.shards.get(&shard) else {
            return Recall::default();
        };
        let [searches, wanted, found] =
            [&counts.searches, &counts.wanted, &counts.found].map(|count| count.load(Relaxed));
        Recall {
            searches,
            recall: found as f64 / wanted.max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use index::{hit::Hit, plan::Plan};

    use super::*;

    fn found(scores: &[f32]) -> Found {
        let hits = scores.iter().zip(0..).map(|(&score, id)| Hit {
            id,
            score,
            interest: 0,
        });
        Found {
            hits: hits.collect(),
            eligible: 9,
            searched: 9,
            plan: Plan::Scan,
            fresh: Vec::new(),
            rows: 9,
            fresh_rows: 0,
            as_of: 0,
        }
    }

    #[test]
    fn recall_is_the_share_of_the_true_best_by_score() {
        let meter = Meter::new(1, 0.0, [3]);
        assert_eq!(meter.recall(3), Recall::default());
        meter.count(3, &found(&[0.9, 0.5, 0.1]), &found(&[0.9, 0.5, 0.5]));
        meter.count(3, &found(&[0.9]), &found(&[0.9]));
        meter.count(7, &found(&[]), &found(&[0.9]));
        let expected = Recall {
            searches: 2,
            recall: 0.75,
        };
        assert_eq!(meter.recall(3), expected);
    }

    #[test]
    fn searches_that_find_too_little_are_to_look_harder() {
        let meter = Meter::new(1, 0.9, [3]);
        let window = |right: usize| {
            let scores: Vec<f32> = (0..10)
                .map(|at| if at < right { 0.9 } else { 0.1 })
                .collect();
            let told = (0..WINDOW).map(|_| meter.count(3, &found(&scores), &found(&[0.9; 10])));
            told.collect::<Vec<_>>()
        };
        for (right, expected) in [(8, true), (9, false), (10, false), (8, true)] {
            let told = window(right);
            assert_eq!(told.last(), Some(&expected));
            assert!(told[..told.len() - 1].iter().all(|told| !told));
        }
    }

    #[test]
    fn one_in_so_many_searches_is_due() {
        let due = |every| {
            let meter = Meter::new(every, 0.0, []);
            (0..10).filter(|_| meter.is_due()).count()
        };
        assert_eq!([due(0), due(1), due(5)], [0, 10, 2]);
    }
}
