//! The best hits so far, bounded.

use crate::hit::Hit;

/// Keeps the best `k` of the hits offered.
///
/// Takes up to twice as many before it drops the worse half, so that a hit costs a push, not a walk
/// through a heap.
pub(crate) struct Top {
    k: usize,
    kept: Vec<Hit>,
    bar: f32,
}

impl Top {
    /// Keeps nothing yet. `k` is at least 1.
    pub(crate) fn new(k: usize) -> Self {
        Self {
            k,
            kept: Vec::with_capacity(2 * k),
            bar: f32::NEG_INFINITY,
        }
    }

    /// The score below which offers are in vain.
    pub(crate) fn bar(&self) -> f32 {
        self.bar
    }

    /// Takes the hit unless it is surely not among the best.
    pub(crate) fn offer(&mut self, hit: Hit) {
        if hit.score < self.bar {
            return;
        }
        self.kept.push(hit);
        if self.kept.len() == 2 * self.k {
            self.kept.select_nth_unstable(self.k - 1);
            self.kept.truncate(self.k);
            self.bar = self.kept[self.k - 1].score;
        }
    }

    /// The best `k` hits, best first.
    pub(crate) fn into_hits(mut self) -> Vec<Hit> {
        self.kept.sort_unstable();
        self.kept.truncate(self.k);
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_is_the_start_of_the_sorted_list(
            scores in prop::collection::vec(0_u8..20, 0..300),
            k in 1_usize..20,
        ) {
            let hits = scores.iter().zip(0..).map(|(score, id)| Hit {
                id,
                score: f32::from(*score),
                interest: 0,
            });
            let mut top = Top::new(k);
            let mut all = Vec::new();
            for hit in hits {
                top.offer(hit);
                all.push(hit);
            }
            all.sort();
            all.truncate(k);
            prop_assert_eq!(top.into_hits(), all);
        }
    }
}
