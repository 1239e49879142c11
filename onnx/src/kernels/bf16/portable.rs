//! The same panels and products in plain Rust, for processors without the instructions.

use crate::kernels::bf16::{Line, PANEL, TILE, Tile, ZERO};
use crate::kernels::matmul::{Matrix, MatrixMut};
use crate::kernels::simd::vectorized;

/// The upper half of an f32 rounded to nearest, ties to even; a denormal counts as 0.
pub(super) fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) | 0x40;
    }
    match x.is_subnormal() {
        true => bits >> 16 & 0x8000,
        false => (bits + 0x7fff + (bits >> 16 & 1)) >> 16,
    }
}

/// Appends the panels of a matrix.
pub(super) fn pack(matrix: Matrix<'_>, lines: &mut Vec<Line>) {
    for first in (0..matrix.rows).step_by(PANEL) {
        for column in (0..matrix.columns).step_by(2) {
            let mut line = ZERO;
            for row in first..matrix.rows.min(first + PANEL) {
                let at = |column: usize| match column < matrix.columns {
                    true => round(matrix.at(row, column)),
                    false => 0,
                };
                line.0[row - first] = at(column) | at(column + 1) << 16;
            }
            lines.push(line);
        }
    }
}

/// Computes a tile whose first entry is `at` (row and column of `out`).
pub(super) fn tile<const N: usize>(
    tile: &Tile<'_, N>,
    out: &mut MatrixMut<'_>,
    at: (usize, usize),
) {
    for (n, right) in tile.right.iter().enumerate() {
        let mut sums = [[0.0; PANEL]; TILE];
        sum(tile.left, tile.half, right, &mut sums);
        let columns = PANEL.min(tile.columns - n * PANEL);
        for (row, sums) in sums[..tile.rows].iter().enumerate() {
            let out = out.row(at.0 + row, at.1 + n * PANEL, columns);
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = if tile.add { *out } else { 0.0 } + tile.factor * sum;
            }
        }
    }
}

vectorized! {
    fn sum(left: &[Line], half: usize, right: &[Line], sums: &mut [[f32; PANEL]; TILE]) {
        let low = |x: u32| f32::from_bits(x << 16);
        let high = |x: u32| f32::from_bits(x & 0xffff_0000);
        for (left, right) in left.iter().zip(right) {
            for (sums, &x) in sums.iter_mut().zip(&left.0[half * TILE..]) {
                for (sum, &y) in sums.iter_mut().zip(&right.0) {
                    *sum += low(x) * low(y) + high(x) * high(y);
                }
            }
        }
    }
}
