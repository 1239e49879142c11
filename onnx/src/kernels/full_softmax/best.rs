//! The best of several interests for every item.

use crate::kernels::simd::vectorized;

/// For each item the largest logit over the interests, and whose it is.
pub(crate) struct Best {
    /// The largest logit of each item.
    pub(crate) logits: Vec<f32>,
    winners: Vec<u32>,
}

impl Best {
    /// Room for `items`.
    pub(crate) fn new(items: usize) -> Self {
        Self {
            logits: vec![0.0; items],
            winners: vec![0; items],
        }
    }

    /// Reads the logits `[interests, items]`; the first of equals wins.
    pub(crate) fn find(&mut self, logits: &[f32]) {
        find_best(logits, &mut self.logits, &mut self.winners);
    }

    /// Gives every item's value to the interest that won it, 0 to the others.
    pub(crate) fn hand_out(&self, rows: &mut [f32]) {
        hand_out(&self.logits, &self.winners, rows);
    }
}

vectorized! {
    fn find_best(logits: &[f32], tops: &mut [f32], winners: &mut [u32]) {
        let (first, others) = logits.split_at(tops.len());
        tops.copy_from_slice(first);
        winners.fill(0);
        for (interest, row) in (1..).zip(others.chunks_exact(tops.len())) {
            for ((top, winner), &logit) in tops.iter_mut().zip(winners.iter_mut()).zip(row) {
                let better = logit > *top;
                *top = if better { logit } else { *top };
                *winner = if better { interest } else { *winner };
            }
        }
    }
}

vectorized! {
    fn hand_out(values: &[f32], winners: &[u32], rows: &mut [f32]) {
        for (interest, row) in (0..).zip(rows.chunks_exact_mut(values.len())) {
            for ((x, &value), &winner) in row.iter_mut().zip(values).zip(winners) {
                *x = if winner == interest { value } else { 0.0 };
            }
        }
    }
}
