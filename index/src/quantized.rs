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

mod contest;
mod rounded;
#[cfg(target_arch = "x86_64")]
mod vnni;

use std::borrow::Cow;

use crate::{
    cells::{Cells, Promise, REACHES},
    eligible::Eligible,
    exact,
    hit::Hit,
    quantized::{
        contest::Contest,
        rounded::{Queries, Rounded, summing},
    },
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
    /// Which of [`REACHES`] finds enough, and the share of the rows that a search of the cells then looks at for one query.
    reach: usize,
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

/// Between which bounds the greatest score over the queries lies, of each row of two tiles.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    lower: [[f32; TILE]; 2],
    upper: [[f32; TILE]; 2],
    /// The bit of each row whose upper bound is not below the bar.
    reach: [u16; 2],
}

impl Quantized {
    /// Rounds the rows, which must be finite; `None` if this machine cannot scan them. Rows whose cells are not known yet are divided
    /// by so many threads; 0 means one a core.
    pub(crate) fn new(rows: RowsView<'_>, cells: Option<Cells>, threads: usize) -> Option<Self> {
        if !supported() {
            return None;
        }
        let cells = cells.unwrap_or_else(|| Cells::new(rows, threads));
        let mut pairs = vec![0];
        let mut places = Vec::with_capacity(rows.len());
        for cell in 0..cells.count() {
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
            reach: 0,
            share: 1.0,
        };
        quantized.lines =
            vec![Line([[SHIFT as u8; 4]; TILE]); quantized.factors.len() * quantized.steps];
        for place in 0..quantized.rows.len() {
            if let Some(row) = quantized.row(place) {
                quantized.put(place, &rows.row(row));
            }
        }
        quantized.share = quantized.calibrate(rows);
        Some(quantized)
    }

    /// Sets the cells' reach to the least with which a search near some of the rows finds nearly all of the best; returns the
    /// share of the rows that it looks at.
    fn calibrate(&mut self, rows: RowsView<'_>) -> f64 {
        if self.cells.count() == 1 {
            return 1.0;
        }
        let all = Eligible::except(rows, &[]);
        let step = rows.len().div_ceil(SAMPLE);
        let sample = || (0..rows.len()).step_by(step).map(|row| rows.row(row));
        let best = |query: Cow<'_, [f32]>| self.scan(rows, &query, NEIGHBOURS, &all);
        let truths: Vec<Vec<Hit>> = sample().map(best).collect();
        let wanted = truths.iter().map(Vec::len).sum::<usize>() as f64;
        let mut share = 1.0;
        for reach in 0..REACHES.len() {
            self.reach = reach;
            let (mut found, mut looked) = (0, 0);
            for (query, truth) in sample().zip(&truths) {
                let near = self.scan_cells(rows, &query, NEIGHBOURS, &all, 0);
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

    /// The same of the cells that rows among the best may well be in; the cells are left once `k` surely better rows are found. Each
    /// `tier` looks further than the one before.
    pub(crate) fn scan_cells(
        &self,
        rows: RowsView<'_>,
        queries: &[f32],
        k: usize,
        eligible: &Eligible,
        tier: usize,
    ) -> Looked {
        let reach = REACHES[(self.reach + tier).min(REACHES.len() - 1)];
        let mut contest = Contest::new(self, queries, rows.dim(), k, eligible);
        let mut looked = 0;
        let mut promises = self.cells.by_promise(queries, reach);
        while let Some(Promise { score, cell }) = promises.pop() {
            if score < contest.bar.settled() {
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
        self.cells.count()
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

#[cfg(target_arch = "x86_64")]
fn supported() -> bool {
    vnni::supported()
}

#[cfg(not(target_arch = "x86_64"))]
fn supported() -> bool {
    false
}

#[cfg(test)]
mod tests;
