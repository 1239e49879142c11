//! A shard's rows in 8 bits a number, and a scan of them that loses nothing.
//!
//! Row `r` is kept as `s c`: whole numbers `c` from -127 to 127 and one scale `s`; what that loses is `d = r - s c`. Queries
//! are rounded alike, to `t e` with a loss `f`. So the score is near `s t c.e`, and by the inequality of Cauchy and Schwarz
//! never further from it than `|d| |q| + |s c| |f|` (and what summing in f32 rounds). A row whose score cannot reach the
//! `k` best by that bound is left out; the few others are compared as they are. The answer is that of [`exact::scan`], bit
//! for bit, and a quarter of the memory is read.
//!
//! Needs AVX-512 VNNI; where a machine lacks it there are no quantized rows.
//!
//! [`exact::scan`]: crate::exact::scan

#[cfg(target_arch = "x86_64")]
mod vnni;

use std::ops::Range;

use crate::{
    cells::{Cells, REACHES},
    eligible::Eligible,
    exact,
    hit::Hit,
    rows::RowsView,
};

/// Rows near which the cells are searched to calibrate them, neighbours of each, and the share of them to find.
const SAMPLE: usize = 64;
const NEIGHBOURS: usize = 100;
const ENOUGH: f64 = 0.998;
/// No row.
const NOBODY: u32 = u32::MAX;
/// Rows of a tile.
const TILE: usize = 16;
/// The largest whole number.
const MOST: f32 = 127.0;
/// Adding and taking away one and a half times two to the 23rd leaves the whole number nearest to a small f32, the even one
/// of two.
const WHOLE: f32 = 12_582_912.0;
/// Added to a row's whole numbers, which the instructions take without a sign.
const SHIFT: i32 = 128;

/// Four numbers of each of sixteen rows: one cache line, one register.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([[u8; 4]; TILE]);

/// What sixteen rows need beside their whole numbers.
#[derive(Clone, Debug, Default)]
struct Factors {
    /// Scale of the whole numbers.
    scale: [f32; TILE],
    /// Length of what rounding lost of the row, and what summing its score may round, of a query of length 1.
    lost: [f32; TILE],
    /// Length of the rounded row.
    length: [f32; TILE],
}

/// The rows of a shard in 8 bits a number.
#[derive(Debug)]
pub(crate) struct Quantized {
    /// `[tiles, steps]`: a tile's numbers, four by four.
    lines: Vec<Line>,
    factors: Vec<Factors>,
    steps: usize,
    /// The row of each place of a tile; [`NOBODY`] where a cell does not fill its last pair of tiles.
    rows: Vec<u32>,
    cells: Cells,
    /// Where the pairs of tiles of each cell begin, and where those of the last end.
    pairs: Vec<usize>,
    /// The share of the rows that a search of the cells looks at for one query.
    share: f64,
}

/// How many of the rows a search of cells looked at.
#[derive(Clone, Debug)]
pub(crate) struct Looked {
    /// The best of them.
    pub(crate) hits: Vec<Hit>,
    /// How many there were.
    pub(crate) rows: usize,
}

/// Queries in 8 bits a number.
#[derive(Debug)]
struct Queries {
    /// `[queries, steps]`: four numbers in one.
    words: Vec<i32>,
    /// For each query what [`SHIFT`] adds to the whole dot product, and its scale.
    shifts: Vec<i32>,
    scales: Vec<f32>,
    /// The greatest length of a query.
    length: f32,
    /// The greatest length of what rounding lost of one.
    lost: f32,
}

/// Between which bounds the greatest score over the queries lies, of each row of two tiles.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    lower: [[f32; TILE]; 2],
    upper: [[f32; TILE]; 2],
    /// The bit of each row whose upper bound is not below the bar.
    reach: [u16; 2],
}

impl Quantized {
    /// Rounds the rows, which must be finite; `None` if this machine cannot scan them.
    pub(crate) fn new(rows: RowsView<'_>) -> Option<Self> {
        if !supported() {
            return None;
        }
        let cells = Cells::new(rows);
        let mut pairs = vec![0];
        let mut places = Vec::with_capacity(rows.len());
        for cell in 0..cells.len() {
            places.extend(cells.rows(cell));
            places.resize(places.len().next_multiple_of(2 * TILE), NOBODY);
            pairs.push(places.len() / (2 * TILE));
        }
        let mut quantized = Self {
            steps: rows.dim().div_ceil(4),
            lines: Vec::new(),
            factors: vec![Factors::default(); places.len() / TILE],
            rows: places,
            cells,
            pairs,
            share: 1.0,
        };
        quantized.lines =
            vec![Line([[SHIFT as u8; 4]; TILE]); quantized.factors.len() * quantized.steps];
        for place in 0..quantized.rows.len() {
            if let Some(row) = quantized.row(place) {
                quantized.put(place, rows.row(row));
            }
        }
        quantized.share = quantized.calibrate(rows);
        Some(quantized)
    }

    /// Sets the cells' reach to the least with which a search near some of the rows finds nearly all of the best; returns the
    /// share of the rows that it looks at.
    fn calibrate(&mut self, rows: RowsView<'_>) -> f64 {
        if self.cells.len() == 1 {
            return 1.0;
        }
        let all = Eligible::except(rows, &[]);
        let step = rows.len().div_ceil(SAMPLE);
        let sample = || (0..rows.len()).step_by(step).map(|row| rows.row(row));
        let best = |query| self.scan(rows, query, NEIGHBOURS, &all);
        let truths: Vec<Vec<Hit>> = sample().map(best).collect();
        let wanted = truths.iter().map(Vec::len).sum::<usize>() as f64;
        let mut share = 1.0;
        for reach in REACHES {
            self.cells.set_reach(reach);
            let (mut found, mut looked) = (0, 0);
            for (query, truth) in sample().zip(&truths) {
                let near = self.scan_cells(rows, query, NEIGHBOURS, &all);
                found += near
                    .hits
                    .iter()
                    .filter(|hit| truth.binary_search(hit).is_ok())
                    .count();
                looked += near.rows;
            }
            share = looked as f64 / (truths.len() * rows.len()) as f64;
            if found as f64 >= ENOUGH * wanted {
                break;
            }
        }
        share
    }

    /// The share of the rows that a search of the cells looks at for one query.
    pub(crate) fn share(&self) -> f64 {
        self.share
    }

    fn put(&mut self, place: usize, vector: &[f32]) {
        let (tile, lane) = (place / TILE, place % TILE);
        let rounded = Rounded::new(vector);
        for (step, numbers) in vector.chunks(4).enumerate() {
            let four = &mut self.lines[tile * self.steps + step].0[lane];
            for (byte, &number) in four.iter_mut().zip(numbers) {
                *byte = (rounded.whole(number) + SHIFT) as u8;
            }
        }
        let factors = &mut self.factors[tile];
        factors.scale[lane] = rounded.scale;
        factors.lost[lane] = rounded.lost + summing(vector.len()) * (rounded.length + rounded.lost);
        factors.length[lane] = rounded.length;
    }

    /// The row at a place of a tile.
    fn row(&self, place: usize) -> Option<usize> {
        let row = self.rows[place];
        (row != NOBODY).then_some(row as usize)
    }

    /// Bytes of a row of `dim` numbers.
    pub(crate) fn row_bytes(dim: usize) -> usize {
        dim.div_ceil(4) * 4 + 3 * size_of::<f32>()
    }

    /// Returns what [`exact::scan`] does of the same rows, of those that are eligible.
    ///
    /// # Shapes
    /// - `queries`: `[q, dim]`, finite
    pub(crate) fn scan(
        &self,
        rows: RowsView<'_>,
        queries: &[f32],
        k: usize,
        eligible: &Eligible,
    ) -> Vec<Hit> {
        let mut contest = Contest::new(self, queries, rows.dim(), k, eligible);
        contest.look(0..self.factors.len() / 2);
        exact::rank(rows, contest.contenders(), queries, k)
    }

    /// The same of the cells that rows among the best may well be in; the cells are left once `k` surely better rows are found.
    pub(crate) fn scan_cells(
        &self,
        rows: RowsView<'_>,
        queries: &[f32],
        k: usize,
        eligible: &Eligible,
    ) -> Looked {
        let mut contest = Contest::new(self, queries, rows.dim(), k, eligible);
        let mut looked = 0;
        for (promise, cell) in self.cells.by_promise(queries) {
            if promise < contest.bar.settled() {
                break;
            }
            contest.look(self.pairs[cell]..self.pairs[cell + 1]);
            looked += self.cells.rows(cell).len();
        }
        Looked {
            hits: exact::rank(rows, contest.contenders(), queries, k),
            rows: looked,
        }
    }

    /// How many cells.
    pub(crate) fn cells(&self) -> usize {
        self.cells.len()
    }

    #[cfg(target_arch = "x86_64")]
    fn bounds(&self, tile: usize, queries: &Queries, bar: f32) -> Bounds {
        vnni::bounds(
            &self.lines[tile * self.steps..][..2 * self.steps],
            &self.factors[tile..tile + 2],
            queries,
            bar,
        )
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Quantized {
    fn bounds(&self, _: usize, _: &Queries, _: f32) -> Bounds {
        unreachable!("rows are rounded only where they can be scanned")
    }
}

impl Queries {
    fn new(queries: &[f32], dim: usize) -> Self {
        let steps = dim.div_ceil(4);
        let count = queries.len() / dim;
        let mut all = Self {
            words: Vec::with_capacity(count * steps),
            shifts: Vec::with_capacity(count),
            scales: Vec::with_capacity(count),
            length: 0.0,
            lost: 0.0,
        };
        for query in queries.chunks_exact(dim) {
            let rounded = Rounded::new(query);
            let mut sum = 0;
            for numbers in query.chunks(4) {
                let mut four = [0_i8; 4];
                for (byte, &number) in four.iter_mut().zip(numbers) {
                    let whole = rounded.whole(number);
                    sum += whole;
                    *byte = whole as i8;
                }
                all.words.push(i32::from_le_bytes(four.map(|x| x as u8)));
            }
            all.shifts.push(SHIFT * sum);
            all.scales.push(rounded.scale);
            all.length = all.length.max(rounded.length + rounded.lost);
            all.lost = all.lost.max(rounded.lost);
        }
        all
    }
}

/// How a vector is rounded, and what that loses.
struct Rounded {
    scale: f32,
    /// One over the scale; 0 where the scale is.
    inverse: f32,
    /// Length of the rounded vector, rounded up.
    length: f32,
    /// Length of what is lost, rounded up.
    lost: f32,
}

impl Rounded {
    fn new(vector: &[f32]) -> Self {
        let most = vector.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let scale = most / MOST;
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let mut rounded = Self {
            scale,
            inverse: if inverse.is_finite() { inverse } else { 0.0 },
            length: 0.0,
            lost: 0.0,
        };
        let (mut length, mut lost) = (0.0_f64, 0.0_f64);
        for &x in vector {
            let near = f64::from(rounded.whole(x)) * f64::from(scale);
            length += near * near;
            lost += (f64::from(x) - near).powi(2);
        }
        // A step of f32 up, for what the root and the conversion round down.
        rounded.length = (length.sqrt() as f32).next_up();
        rounded.lost = (lost.sqrt() as f32).next_up();
        rounded
    }

    /// The whole number nearest to `x` over the scale.
    fn whole(&self, x: f32) -> i32 {
        ((x * self.inverse).clamp(-MOST, MOST) + WHOLE - WHOLE) as i32
    }
}

/// The rows that may be among the best `k`, of those looked at.
struct Contest<'a> {
    rows: &'a Quantized,
    queries: Queries,
    eligible: &'a Eligible,
    bar: Bar,
    contenders: Vec<(usize, f32)>,
}

impl<'a> Contest<'a> {
    /// Has looked at nothing yet; `k` is at least 1.
    fn new(
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
    fn look(&mut self, pairs: Range<usize>) {
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
    fn contenders(mut self) -> impl Iterator<Item = usize> {
        let bar = self.bar.settled();
        self.contenders
            .into_iter()
            .filter_map(move |(row, upper)| reaches(upper, bar).then_some(row))
    }
}

/// The height that `k` rows surely reach, by their lower bounds.
struct Bar {
    k: usize,
    height: f32,
    lowers: Vec<f32>,
    /// Whether any came since the height was taken.
    raised: bool,
}

impl Bar {
    fn new(k: usize) -> Self {
        Self {
            k,
            height: f32::NEG_INFINITY,
            lowers: Vec::with_capacity(2 * k),
            raised: false,
        }
    }

    fn raise(&mut self, lower: f32) {
        if lower > self.height && lower.is_finite() {
            self.lowers.push(lower);
            self.raised = true;
            if self.lowers.len() == 2 * self.k {
                self.cut();
            }
        }
    }

    /// The height by all that was seen.
    fn settled(&mut self) -> f32 {
        if self.raised && self.lowers.len() >= self.k {
            self.cut();
        }
        self.height
    }

    fn cut(&mut self) {
        self.lowers
            .select_nth_unstable_by(self.k - 1, |a, b| b.total_cmp(a));
        self.lowers.truncate(self.k);
        self.height = self.height.max(self.lowers[self.k - 1]);
        self.raised = false;
    }
}

/// Whether a row may be among the best; one whose bound overflowed may.
fn reaches(upper: f32, bar: f32) -> bool {
    upper >= bar || upper.is_nan()
}

/// How much a score of vectors of length 1 differs at most from the true one by summing in f32: a generous bound.
fn summing(dim: usize) -> f32 {
    (dim + 64) as f32 * f32::EPSILON
}

#[cfg(target_arch = "x86_64")]
fn supported() -> bool {
    vnni::supported()
}

#[cfg(not(target_arch = "x86_64"))]
fn supported() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_scan_answers_what_a_scan_of_the_rows_as_they_are_does(
            dim in 1_usize..100,
            count in 1_usize..300,
            queries in 1_usize..20,
            k in 1_usize..50,
            size in -8_i32..8,
            coarse in any::<bool>(),
            exclude in prop::collection::btree_set(0_u64..900, 0..40),
            numbers in prop::collection::vec(-1.0_f32..1.0, 997),
        ) {
            // Coarse numbers make equal scores, lengths differ from row to row.
            let number = |i: usize| match coarse {
                true => (numbers[i % 997] * 2.0).round() + 0.5,
                false => numbers[i % 997],
            };
            let vectors: Vec<f32> = (0..count * dim)
                .map(|i| number(i) * 2.0_f32.powi(size * (i / dim % 3) as i32))
                .collect();
            let queries: Vec<f32> = (0..queries * dim).map(|i| number(7 * i + 3)).collect();
            let ids: Vec<u64> = (0..count as u64).map(|row| 3 * row).collect();
            let exclude: Vec<u64> = exclude.into_iter().collect();
            let rows = RowsView::new(&ids, &vectors, dim);
            if let Some(quantized) = Quantized::new(rows) {
                let found = quantized.scan(rows, &queries, k, &Eligible::except(rows, &exclude));
                let expected = exact::scan(rows, &queries, k, &exclude);
                let bits = |hits: &[Hit]| -> Vec<_> {
                    hits.iter().map(|hit| (hit.id, hit.score.to_bits(), hit.interest)).collect()
                };
                prop_assert_eq!(bits(&found), bits(&expected));
            }
        }
    }

    #[test]
    fn bounds_that_overflow_leave_nothing_out() {
        let vectors = [1e19_f32, -1e19, 1e19, 1e19, -1e18, 1e19];
        let rows = RowsView::new(&[1, 2, 3], &vectors, 2);
        let query = [1e19_f32, 1e19];
        if let Some(quantized) = Quantized::new(rows) {
            let found = quantized.scan(rows, &query, 2, &Eligible::except(rows, &[]));
            assert_eq!(found, exact::scan(rows, &query, 2, &[]));
        }
    }

    /// 25,000 rows in 100 groups, of unequal lengths, and three queries near some.
    fn grouped(dim: usize) -> (Vec<u64>, Vec<f32>, Vec<f32>) {
        let mut state = 1_u64;
        let mut number = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        let groups: Vec<f32> = (0..100 * dim).map(|_| number()).collect();
        let mut near = |group: usize, length: f32| -> Vec<f32> {
            let center = &groups[group % 100 * dim..][..dim];
            center
                .iter()
                .map(|x| length * (x + 0.5 * number()))
                .collect()
        };
        let rows = (0..25_000).flat_map(|row| near(row * 7, 1.0 + (row % 5) as f32 / 10.0));
        let rows = rows.collect();
        let queries = [3, 14, 77].into_iter().flat_map(|group| near(group, 1.0));
        ((0..25_000).collect(), rows, queries.collect())
    }

    #[test]
    fn a_search_of_cells_looks_at_few_rows_and_finds_nearly_all() {
        let (ids, vectors, queries) = grouped(24);
        let rows = RowsView::new(&ids, &vectors, 24);
        let Some(quantized) = Quantized::new(rows) else {
            return;
        };
        let all = Eligible::except(rows, &[]);
        let found = quantized.scan_cells(rows, &queries, 100, &all);
        let best = exact::scan(rows, &queries, 100, &[]);
        let common = best.iter().filter(|hit| found.hits.contains(hit));
        assert!(common.count() >= 99);
        assert!(found.rows < 25_000 / 5, "{} rows looked at", found.rows);

        // However few may be returned, as many come.
        let few = Eligible::Only((0..25_000).step_by(600).collect(), 0);
        let found = quantized.scan_cells(rows, &queries, 100, &few);
        assert_eq!(found.hits.len(), few.count(25_000));
    }
}
