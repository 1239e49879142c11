//! How much live searches find of what there is: one in so many is done again by comparing everything.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use index::shard::Found;

/// Counts for the shards of one generation.
#[derive(Debug)]
pub(crate) struct Meter {
    every: u64,
    searches: AtomicU64,
    shards: BTreeMap<u32, Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    searches: AtomicU64,
    wanted: AtomicU64,
    found: AtomicU64,
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
    pub(crate) fn new(every: u64, shards: impl IntoIterator<Item = u32>) -> Self {
        let shards = shards.into_iter();
        Self {
            every,
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

    /// Takes up what a search found and what there was.
    pub(crate) fn count(&self, shard: u32, found: &Found, truth: &Found) {
        let Some((counts, last)) = self.shards.get(&shard).zip(truth.hits.last()) else {
            return;
        };
        // Equal scores are as good as each other.
        let right = found.hits.iter().filter(|hit| hit.score >= last.score);
        counts.found.fetch_add(right.count() as u64, Relaxed);
        counts.wanted.fetch_add(truth.hits.len() as u64, Relaxed);
        counts.searches.fetch_add(1, Relaxed);
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
        let meter = Meter::new(1, [3]);
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
    fn one_in_so_many_searches_is_due() {
        let due = |every| {
            let meter = Meter::new(every, []);
            (0..10).filter(|_| meter.is_due()).count()
        };
        assert_eq!([due(0), due(1), due(5)], [0, 10, 2]);
    }
}
