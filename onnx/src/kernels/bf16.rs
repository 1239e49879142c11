//! Matrix products of values rounded to bf16 and summed in f32, over panels that are packed once and used often.
//!
//! Rounding is to nearest, ties to even; a denormal counts as 0, as in the processor's own instruction (`VDPBF16PS`), so
//! that it never slows a product down. Without that instruction the same values are multiplied in plain f32: only the
//! order of a sum's terms differs.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use crate::kernels::matmul::{Matrix, MatrixMut};

/// Rows of a panel: one 512-bit register of pairs.
const PANEL: usize = 16;
/// Rows of a tile of the result; half a panel of the left side.
const TILE: usize = PANEL / 2;
/// Pairs of terms summed before a tile goes back to memory: three right panels of so many fill a third of the L1 cache.
const BLOCK: usize = 64;
/// Lines of the right side that the rows of the left side are taken past: half of the L1 cache.
const GROUP: usize = 256;

/// For sixteen rows the values of two neighbouring columns, the first in the low half.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; PANEL]);

const ZERO: Line = Line([0; PANEL]);

/// A matrix rounded to bf16, sixteen rows after sixteen rows, in each of them pair of columns after pair of columns.
#[derive(Default)]
pub(crate) struct Panels {
    lines: Vec<Line>,
    rows: usize,
    columns: usize,
}

impl Panels {
    /// Packs a matrix.
    pub(crate) fn new(matrix: Matrix<'_>) -> Self {
        let mut panels = Self::default();
        panels.pack(matrix);
        panels
    }

    /// Packs another matrix in place of the old one, whose memory it takes.
    pub(crate) fn pack(&mut self, matrix: Matrix<'_>) {
        (self.rows, self.columns) = (matrix.rows, matrix.columns);
        self.lines.clear();
        self.lines.reserve(self.rows.div_ceil(PANEL) * self.pairs());
        #[cfg(target_arch = "x86_64")]
        if avx512::is_here() {
            return avx512::pack(matrix, &mut self.lines);
        }
        portable::pack(matrix, &mut self.lines);
    }

    /// Lines of a panel.
    fn pairs(&self) -> usize {
        self.columns.div_ceil(2)
    }

    /// The `pairs` lines of a panel from `first` on.
    fn lines(&self, panel: usize, first: usize, pairs: usize) -> &[Line] {
        &self.lines[panel * self.pairs() + first..][..pairs]
    }
}

/// Some rows and columns of the result, and the lines that they are made of.
struct Tile<'a, const N: usize> {
    /// A panel of the left side.
    left: &'a [Line],
    /// Which half of it.
    half: usize,
    /// As many panels of the right side.
    right: [&'a [Line]; N],
    /// Rows, at most [`TILE`].
    rows: usize,
    /// Columns, at most `N` panels.
    columns: usize,
    factor: f32,
    add: bool,
}

/// `out = factor * a b'`.
pub(crate) fn multiply(out: MatrixMut<'_>, a: &Panels, b: &Panels, factor: f32) {
    product(out, a, b, factor, false);
}

/// `out += a b'`.
pub(crate) fn add_product(out: MatrixMut<'_>, a: &Panels, b: &Panels) {
    product(out, a, b, 1.0, true);
}

fn product(mut out: MatrixMut<'_>, a: &Panels, b: &Panels, factor: f32, add: bool) {
    assert_eq!(
        (out.rows, out.columns, a.columns),
        (a.rows, b.rows, b.columns),
        "shapes of a product"
    );
    if a.columns == 0 && !add {
        (0..out.rows).for_each(|row| out.row(row, 0, out.columns).fill(0.0));
    }
    let panels = b.rows.div_ceil(PANEL);
    for first in (0..a.pairs()).step_by(BLOCK) {
        let pairs = BLOCK.min(a.pairs() - first);
        let group = (GROUP / pairs / 3 * 3).max(3);
        for start in (0..panels).step_by(group) {
            for row in (0..a.rows).step_by(TILE) {
                let left = a.lines(row / PANEL, first, pairs);
                let mut panel = start;
                let end = panels.min(start + group);
                while panel < end {
                    let at = Place {
                        left,
                        row,
                        panel,
                        first,
                        factor,
                        add: add || first > 0,
                    };
                    // Four panels are better done by twos than as three and one.
                    panel += match end - panel {
                        1 => at.tile::<1>(&mut out, b),
                        2 | 4 => at.tile::<2>(&mut out, b),
                        _ => at.tile::<3>(&mut out, b),
                    };
                }
            }
        }
    }
}

/// Where a tile lies.
struct Place<'a> {
    left: &'a [Line],
    row: usize,
    panel: usize,
    first: usize,
    factor: f32,
    add: bool,
}

impl Place<'_> {
    /// Computes a tile of `N` panels of the right side; returns `N`.
    #[inline(always)]
    fn tile<const N: usize>(&self, out: &mut MatrixMut<'_>, b: &Panels) -> usize {
        let tile: Tile<'_, N> = Tile {
            left: self.left,
            half: self.row % PANEL / TILE,
            right: std::array::from_fn(|n| b.lines(self.panel + n, self.first, self.left.len())),
            rows: TILE.min(out.rows - self.row),
            columns: (N * PANEL).min(out.columns - self.panel * PANEL),
            factor: self.factor,
            add: self.add,
        };
        let rows = (self.row, self.panel * PANEL);
        #[cfg(target_arch = "x86_64")]
        if avx512::is_here() {
            avx512::tile(&tile, out, rows);
            return N;
        }
        portable::tile(&tile, out, rows);
        N
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{Rng as _, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Space between the rows of the matrices below.
    const SPACE: usize = 3;

    /// What a product in training meets, zeros and denormals among it.
    fn value(rng: &mut ChaCha8Rng) -> f32 {
        let x = rng.random_range(-2.0..2.0);
        match rng.random_range(0..10) {
            0 => 0.0,
            1 => x * 1e-30,
            2 => x * 1e-38,
            _ => x,
        }
    }

    /// A matrix whose rows lie side by side, or whose columns do.
    #[derive(Clone, Debug)]
    struct Stored {
        values: Vec<f32>,
        rows: usize,
        columns: usize,
        transposed: bool,
    }

    fn stored(rows: usize, columns: usize) -> impl Strategy<Value = Stored> {
        any::<(u64, bool)>().prop_map(move |(seed, transposed)| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let values = (0..(rows + SPACE) * (columns + SPACE)).map(|_| value(&mut rng));
            Stored {
                values: values.collect(),
                rows,
                columns,
                transposed,
            }
        })
    }

    impl Stored {
        fn matrix(&self) -> Matrix<'_> {
            let (rows, columns) = (self.rows, self.columns);
            match self.transposed {
                false => Matrix::strided(&self.values, rows, columns, columns + SPACE),
                true => Matrix::strided(&self.values, columns, rows, rows + SPACE).transposed(),
            }
        }

        fn rounded(&self, row: usize, column: usize) -> f64 {
            f64::from(f32::from_bits(
                portable::round(self.matrix().at(row, column)) << 16,
            ))
        }
    }

    fn sides() -> impl Strategy<Value = (Stored, Stored)> {
        (1..40_usize, 1..120_usize, 1..300_usize)
            .prop_flat_map(|(rows, columns, terms)| (stored(rows, terms), stored(columns, terms)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_product_is_that_of_the_rounded_values((a, b) in sides(), factor in 0.5_f32..2.0, add: bool) {
            let (left, right) = (Panels::new(a.matrix()), Panels::new(b.matrix()));
            let mut out = vec![1.0; a.rows * (b.rows + SPACE)];
            product(MatrixMut::strided(&mut out, a.rows, b.rows, b.rows + SPACE), &left, &right, factor, add);
            for row in 0..a.rows {
                let out = &out[row * (b.rows + SPACE)..][..b.rows + SPACE];
                for (column, &found) in out[..b.rows].iter().enumerate() {
                    let terms = (0..a.columns).map(|k| a.rounded(row, k) * b.rounded(column, k));
                    let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
                    let expected = sum * f64::from(factor) + if add { 1.0 } else { 0.0 };
                    let error = (f64::from(found) - expected).abs();
                    prop_assert!(error < 1e-6 * (1.0 + size), "({row}, {column}): {found}, not {expected}");
                }
                prop_assert_eq!(&out[b.rows..], [1.0; SPACE]);
            }
        }

        #[test]
        #[cfg(target_arch = "x86_64")]
        fn the_processor_does_what_plain_rust_does((a, b) in sides()) {
            if !avx512::is_here() {
                return Ok(());
            }
            let (left, right) = (Panels::new(a.matrix()), Panels::new(b.matrix()));
            for (side, panels) in [(&a, &left), (&b, &right)] {
                let mut lines = Vec::new();
                portable::pack(side.matrix(), &mut lines);
                prop_assert!(lines.iter().map(|line| line.0).eq(panels.lines.iter().map(|line| line.0)));
            }
            let tile: Tile<'_, 1> = Tile {
                left: left.lines(0, 0, left.pairs()),
                half: a.rows % 2,
                right: [right.lines(0, 0, left.pairs())],
                rows: TILE,
                columns: 13,
                factor: 1.5,
                add: true,
            };
            let mut outs = [[1.0; TILE * PANEL]; 2];
            avx512::tile(&tile, &mut MatrixMut::new(&mut outs[0], TILE, PANEL), (0, 1));
            portable::tile(&tile, &mut MatrixMut::new(&mut outs[1], TILE, PANEL), (0, 1));
            for (x, y) in outs[0].iter().zip(&outs[1]) {
                prop_assert!((x - y).abs() < 1e-3, "{x} and {y}");
            }
        }
    }

    #[test]
    fn ties_go_to_even_and_denormals_to_zero() {
        for (bits, expected) in [
            (0x3f80_8000, 0x3f80),
            (0x3f80_8001, 0x3f81),
            (0x3f81_8000, 0x3f82),
            (0x7f80_0000, 0x7f80),
            (0x8000_0001, 0x8000),
            (0x7f80_0001, 0x7fc0),
        ] {
            assert_eq!(portable::round(f32::from_bits(bits)), expected, "{bits:x}");
        }
    }
}
