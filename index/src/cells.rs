//! Divides a shard's rows into cells of rows that lie near each other, so that a search need not look into those that are far from
//! every query.

mod file;
mod groups;

use std::{cmp::Ordering, collections::BinaryHeap, ops::Range};

use self::groups::{Group, split};
use crate::{
    dot::{BLOCK, Scorer},
    hnsw,
    rows::RowsView,
};

/// Shards with fewer rows have one cell: scanning them costs less than choosing.
const SMALL: usize = 20_000;
/// Rows of a cell, about: fewer, and there are more centres to compare than rows of the cells that are near; many more, and a cell
/// holds rows that lie far from each other.
const FILL: usize = 128;
/// The most cells: every row is compared with every centre.
const MOST: usize = 32_768;
/// Times that cells are divided which hold more than one group of rows.
const SPLITS: usize = 2;
/// How many times the spread a row of a cell may lie from the centre towards a query. Were the rows of a cell normally
/// distributed, one in three million would lie further than 5; cells that hold several groups of rows need more.
pub(crate) const REACHES: [f32; 8] = [4.0, 5.0, 6.0, 8.0, 10.0, 13.0, 17.0, 22.0];

/// Rows divided into cells.
#[derive(Debug)]
pub struct Cells {
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
    /// Whether so many rows are divided into more than one cell.
    pub(crate) fn divides(rows: usize) -> bool {
        rows >= SMALL
    }

    /// Divides the rows, which must be finite, by so many threads; 0 means one a core. However many, the same rows make the same
    /// cells.
    pub(crate) fn new(rows: RowsView<'_>, threads: usize) -> Self {
        let count = match Self::divides(rows.len()) {
            true => (rows.len() / FILL).min(MOST),
            false => 1,
        };
        Self::divide(rows, count, hnsw::threads(threads))
    }

    /// Divides the rows into `count` cells, and a few more.
    fn divide(rows: RowsView<'_>, count: usize, threads: usize) -> Self {
        let mut groups = Group::divide(rows, (0..rows.len()).collect(), count, threads);
        for _ in 0..SPLITS {
            groups = split(rows, groups, threads);
        }
        let mut cells = Self {
            centers: Vec::with_capacity(groups.len() * rows.dim()),
            spreads: Vec::with_capacity(groups.len()),
            rows: Vec::with_capacity(rows.len()),
            starts: vec![0],
            dim: rows.dim(),
        };
        for group in groups {
            cells.spreads.push(group.spread(rows));
            cells.centers.extend(group.center);
            cells
                .rows
                .extend(group.rows.into_iter().map(|row| row as u32));
            cells.starts.push(cells.rows.len());
        }
        cells
    }

    /// How many cells.
    pub fn count(&self) -> usize {
        self.spreads.len()
    }

    /// The rows of a cell, ascending.
    ///
    /// # Panics
    /// If there is no such cell.
    pub fn rows(&self, cell: usize) -> &[u32] {
        &self.rows[self.range(cell)]
    }

    /// The cells with a score that none of their rows exceeds, but for very few; the greatest first. Rows are expected to lie as far
    /// from the centres as `reach` says, one of [`REACHES`].
    ///
    /// # Shapes
    /// - `queries`: `[q, dim]`
    pub(crate) fn by_promise(&self, queries: &[f32], reach: f32) -> BinaryHeap<Promise> {
        let lengths: Vec<f32> = queries
            .chunks_exact(self.dim)
            .map(|query| query.iter().map(|x| x * x).sum::<f32>().sqrt())
            .collect();
        let scorer = Scorer::new(queries, self.dim);
        let mut scores = scorer.room();
        let mut promises = Vec::with_capacity(self.count());
        for (block, centers) in self.centers.chunks(BLOCK * self.dim).enumerate() {
            scorer.score(centers, &mut scores);
            for at in 0..centers.len() / self.dim {
                let cell = block * BLOCK + at;
                let each = scores.iter().zip(&lengths);
                let each =
                    each.map(|(scores, length)| scores[at] + reach * self.spreads[cell] * length);
                let score = each.fold(f32::NEG_INFINITY, f32::max);
                promises.push(Promise { score, cell });
            }
        }
        promises.into()
    }

    fn range(&self, cell: usize) -> Range<usize> {
        self.starts[cell]..self.starts[cell + 1]
    }
}

/// Up to which score a cell may have rows. The greater comes first, of equals that of the first cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    /// The score.
    pub(crate) score: f32,
    /// The cell.
    pub(crate) cell: usize,
}

impl Ord for Promise {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .total_cmp(&other.score)
            .then(other.cell.cmp(&self.cell))
    }
}

impl PartialOrd for Promise {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Promise {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Promise {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn every_row_is_in_one_cell(
            count in 0_usize..400,
            cells in 1_usize..30,
            numbers in prop::collection::vec(-1.0_f32..1.0, 997),
        ) {
            let ids: Vec<u64> = (0..count as u64).collect();
            let vectors: Vec<f32> = (0..count * 3).map(|i| numbers[i % 997]).collect();
            let divided = Cells::divide(RowsView::new(&ids, &vectors, 3), cells, 2);
            let mut all: Vec<u32> = Vec::new();
            for cell in 0..divided.count() {
                prop_assert!(divided.rows(cell).is_sorted());
                all.extend(divided.rows(cell));
            }
            all.sort_unstable();
            prop_assert_eq!(all, (0..count as u32).collect::<Vec<_>>());
        }
    }
}
