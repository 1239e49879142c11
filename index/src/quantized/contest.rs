//! Which rows may be among the best, by the bounds of their scores.

use std::ops::Range;

use super::{Quantized, TILE, rounded::Queries};
use crate::eligible::Eligible;

/// The rows that may be among the best `k`, of those looked at.
pub(super) struct Contest<'a> {
    rows: &'a Quantized,
    queries: Queries,
    eligible: &'a Eligible,
    pub(super) bar: Bar,
    contenders: Vec<(usize, f32)>,
}

impl<'a> Contest<'a> {
    /// Has looked at nothing yet; `k` is at least 1.
    pub(super) fn new(
        rows: &'a Quantized,
        queries: &[f32],
        dim: usize,
        k: usize,
        eligible: &'a Eligible,
    ) -> Self {
        Self {
            rows,
            queries: Queries::new(queries, dim),
            eligible,
            bar: Bar::new(k),
            contenders: Vec::new(),
        }
    }

    /// Looks at some pairs of tiles.
    pub(super) fn look(&mut self, pairs: Range<usize>) {
        for pair in pairs {
            let bounds = self.rows.bounds(2 * pair, &self.queries, self.bar.height);
            for (half, mut reach) in bounds.reach.into_iter().enumerate() {
                while reach != 0 {
                    let lane = reach.trailing_zeros() as usize;
                    reach &= reach - 1;
                    let upper = bounds.upper[half][lane];
                    if !reaches(upper, self.bar.height) {
                        continue;
                    }
                    let row = self.rows.row((2 * pair + half) * TILE + lane);
                    if let Some(row) = row.filter(|row| self.eligible.has(*row)) {
                        self.contenders.push((row, upper));
                        self.bar.raise(bounds.lower[half][lane]);
                    }
                }
            }
        }
    }

    /// The eligible rows that may be among the best.
    pub(super) fn contenders(mut self) -> impl Iterator<Item = usize> {
        let bar = self.bar.settled();
        self.contenders
            .into_iter()
            .filter_map(move |(row, upper)| reaches(upper, bar).then_some(row))
    }
}

/// The height that `k` rows surely reach, by their lower bounds.
pub(super) struct Bar {
    k: usize,
    height: f32,
    lowers: Vec<f32>,
    /// Whether any came since the height was taken.
    raised: bool,
}

impl Bar {
    pub(super) fn new(k: usize) -> Self {
        Self {
            k,
            height: f32::NEG_INFINITY,
            lowers: Vec::with_capacity(2 * k),
            raised: false,
        }
    }

    pub(super) fn raise(&mut self, lower: f32) {
        if lower > self.height && lower.is_finite() {
            self.lowers.push(lower);
            self.raised = true;
            if self.lowers.len() == 2 * self.k {
                self.cut();
            }
        }
    }

    /// The height by all that was seen.
    pub(super) fn settled(&mut self) -> f32 {
        if self.raised && self.lowers.len() >= self.k {
            self.cut();
        }
        self.height
    }

    pub(super) fn cut(&mut self) {
        self.lowers
            .select_nth_unstable_by(self.k - 1, |a, b| b.total_cmp(a));
        self.lowers.truncate(self.k);
        self.height = self.height.max(self.lowers[self.k - 1]);
        self.raised = false;
    }
}

/// Whether a row may be among the best; one whose bound overflowed may.
pub(super) fn reaches(upper: f32, bar: f32) -> bool {
    upper >= bar || upper.is_nan()
}
