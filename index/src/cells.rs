//! Divides a shard's rows into cells of rows that lie near each other, by k-means (Lloyd, IEEE Transactions on Information
//! Theory 28, 1982), so that a search need not look into those that are far from every query.
//!
//! The same rows give the same cells, on every machine with fused multiply-add and however many threads work.

use std::{ops::Range, thread};

use crate::{
    dot::{BLOCK, Scorer},
    rows::RowsView,
};

/// Shards with fewer rows have one cell: scanning them costs less than choosing.
const SMALL: usize = 20_000;
/// Rows of the sample that the centres are found with, for each of them.
const SAMPLE: usize = 40;
/// Times that the centres move.
const ROUNDS: usize = 6;
/// How many times the spread a row of a cell may lie from the centre towards a query. Were the rows of a cell normally
/// distributed, one in three million would lie further than 5; cells that hold several groups of rows need more.
pub(crate) const REACHES: [f32; 8] = [4.0, 5.0, 6.0, 8.0, 10.0, 13.0, 17.0, 22.0];

/// Rows divided into cells.
#[derive(Debug)]
pub(crate) struct Cells {
    /// `[cells, dim]`.
    centers: Vec<f32>,
    /// For each cell how far rows lie from the centre in one direction: the root of the mean square.
    spreads: Vec<f32>,
    /// The rows, cell by cell, ascending in each.
    rows: Vec<u32>,
    /// Where each cell begins in `rows`, and where the last one ends.
    starts: Vec<usize>,
    dim: usize,
}

impl Cells {
    /// Divides the rows.
    pub(crate) fn new(rows: RowsView<'_>) -> Self {
        let count = match rows.len() {
            0..SMALL => 1,
            large => 2 * large.isqrt(),
        };
        Self::divide(rows, count)
    }

    /// Divides the rows into `count` cells.
    fn divide(rows: RowsView<'_>, count: usize) -> Self {
        let centers = centers(rows, count);
        let of = nearest(rows, &centers, &(0..rows.len()).collect::<Vec<_>>());
        let mut starts = vec![0; count + 1];
        for &cell in &of {
            starts[cell as usize + 1] += 1;
        }
        for cell in 0..count {
            starts[cell + 1] += starts[cell];
        }
        let mut next = starts.clone();
        let mut by_cell = vec![0; rows.len()];
        let mut squares = vec![0.0_f64; count];
        for (row, &cell) in of.iter().enumerate() {
            let cell = cell as usize;
            by_cell[next[cell]] = row as u32;
            next[cell] += 1;
            let center = &centers[cell * rows.dim()..][..rows.dim()];
            let off = rows
                .row(row)
                .iter()
                .zip(center)
                .map(|(x, c)| (x - c) * (x - c));
            squares[cell] += f64::from(off.sum::<f32>());
        }
        let spread = |cell: usize| {
            let numbers = (starts[cell + 1] - starts[cell]) * rows.dim();
            (squares[cell] / numbers.max(1) as f64).sqrt() as f32
        };
        Self {
            spreads: (0..count).map(spread).collect(),
            centers,
            rows: by_cell,
            starts,
            dim: rows.dim(),
        }
    }

    /// How many cells.
    pub(crate) fn len(&self) -> usize {
        self.spreads.len()
    }

    /// The rows of a cell, ascending.
    pub(crate) fn rows(&self, cell: usize) -> &[u32] {
        &self.rows[self.range(cell)]
    }

    /// The cells with a score that none of their rows exceeds, but for very few; the greatest first. Rows are expected to lie as far
    /// from the centres as `reach` says, one of [`REACHES`].
    ///
    /// # Shapes
    /// - `queries`: `[q, dim]`
    pub(crate) fn by_promise(&self, queries: &[f32], reach: f32) -> Vec<(f32, usize)> {
        let lengths: Vec<f32> = queries
            .chunks_exact(self.dim)
            .map(|query| query.iter().map(|x| x * x).sum::<f32>().sqrt())
            .collect();
        let scorer = Scorer::new(queries, self.dim);
        let mut scores = scorer.room();
        let mut promises = Vec::with_capacity(self.len());
        for (block, centers) in self.centers.chunks(BLOCK * self.dim).enumerate() {
            scorer.score(centers, &mut scores);
            for at in 0..centers.len() / self.dim {
                let cell = block * BLOCK + at;
                let each = scores.iter().zip(&lengths);
                let each =
                    each.map(|(scores, length)| scores[at] + reach * self.spreads[cell] * length);
                promises.push((each.fold(f32::NEG_INFINITY, f32::max), cell));
            }
        }
        promises.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        promises
    }

    fn range(&self, cell: usize) -> Range<usize> {
        self.starts[cell]..self.starts[cell + 1]
    }
}

/// Finds `count` centres, `[count, dim]`.
fn centers(rows: RowsView<'_>, count: usize) -> Vec<f32> {
    let dim = rows.dim();
    // Ids are no order that vectors know of, so evenly spaced rows are a fair sample.
    let size = (SAMPLE * count).min(rows.len());
    let sample: Vec<usize> = (0..size).map(|i| i * rows.len() / size).collect();
    let mut centers = vec![0.0; count * dim];
    for (center, i) in centers.chunks_exact_mut(dim).zip(0..) {
        if let Some(&row) = sample.get(i * size / count) {
            center.copy_from_slice(rows.row(row));
        }
    }
    for _ in 0..if count > 1 { ROUNDS } else { 1 } {
        let mut sums = vec![0.0_f64; count * dim];
        let mut counts = vec![0_u32; count];
        for (&row, cell) in sample.iter().zip(nearest(rows, &centers, &sample)) {
            let cell = cell as usize;
            counts[cell] += 1;
            let sum = &mut sums[cell * dim..][..dim];
            for (sum, x) in sum.iter_mut().zip(rows.row(row)) {
                *sum += f64::from(*x);
            }
        }
        // A centre that no row is near stays where it is.
        for cell in (0..count).filter(|cell| counts[*cell] > 0) {
            for i in cell * dim..(cell + 1) * dim {
                centers[i] = (sums[i] / f64::from(counts[cell])) as f32;
            }
        }
    }
    centers
}

/// The nearest centre of each of the `wanted` rows; the first of equals.
fn nearest(rows: RowsView<'_>, centers: &[f32], wanted: &[usize]) -> Vec<u32> {
    let dim = rows.dim();
    let halves: Vec<f32> = centers
        .chunks_exact(dim)
        .map(|center| center.iter().map(|x| x * x).sum::<f32>() / 2.0)
        .collect();
    let scorer = Scorer::new(centers, dim);
    let of_block = |wanted: &[usize], found: &mut [u32]| {
        let vectors: Vec<f32> = wanted
            .iter()
            .flat_map(|row| rows.row(*row))
            .copied()
            .collect();
        let mut scores = scorer.room();
        scorer.score(&vectors, &mut scores);
        let mut best = [f32::NEG_INFINITY; BLOCK];
        for (cell, (scores, half)) in scores.iter().zip(&halves).enumerate() {
            for ((best, found), score) in best.iter_mut().zip(found.iter_mut()).zip(scores) {
                if score - half > *best {
                    (*best, *found) = (score - half, cell as u32);
                }
            }
        }
    };
    let mut found = vec![0; wanted.len()];
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let part = wanted
        .len()
        .div_ceil(threads)
        .next_multiple_of(BLOCK)
        .max(BLOCK);
    thread::scope(|scope| {
        for (wanted, found) in wanted.chunks(part).zip(found.chunks_mut(part)) {
            scope.spawn(move || {
                for (wanted, found) in wanted.chunks(BLOCK).zip(found.chunks_mut(BLOCK)) {
                    of_block(wanted, found);
                }
            });
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn every_row_is_in_the_cell_whose_centre_is_nearest(
            count in 0_usize..400,
            cells in 1_usize..12,
            dim in 1_usize..20,
            numbers in prop::collection::vec(-1.0_f32..1.0, 997),
        ) {
            let ids: Vec<u64> = (0..count as u64).collect();
            let vectors: Vec<f32> = (0..count * dim).map(|i| numbers[i % 997]).collect();
            let rows = RowsView::new(&ids, &vectors, dim);
            let divided = Cells::divide(rows, cells);
            let mut all: Vec<u32> = Vec::new();
            let off = |row: u32, cell: usize| -> f32 {
                let center = &divided.centers[cell * dim..][..dim];
                let row = rows.row(row as usize);
                row.iter().zip(center).map(|(x, c)| (x - c) * (x - c)).sum()
            };
            for cell in 0..cells {
                prop_assert!(divided.rows(cell).is_sorted());
                for &row in divided.rows(cell) {
                    let least = (0..cells).map(|cell| off(row, cell)).fold(f32::INFINITY, f32::min);
                    prop_assert!(off(row, cell) <= least + 1e-4);
                }
                all.extend(divided.rows(cell));
            }
            all.sort_unstable();
            prop_assert_eq!(all, (0..count as u32).collect::<Vec<_>>());
        }
    }
}
