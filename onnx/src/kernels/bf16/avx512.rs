//! Packs panels and multiplies tiles of them by AVX-512's bf16 instructions.
#![expect(
    unsafe_code,
    reason = "code for an instruction set is entered after asking the processor for it; loads and stores take pointers"
)]

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_add_ps, _mm512_castps_si512, _mm512_cvtne2ps_pbh,
    _mm512_dpbf16_ps, _mm512_load_si512, _mm512_loadu_ps, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_permutexvar_epi16, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_shuffle_i32x4, _mm512_store_si512, _mm512_storeu_ps,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};
use std::mem::transmute;

use crate::kernels::bf16::{Line, PANEL, TILE, Tile};
use crate::kernels::matmul::{Matrix, MatrixMut};

/// Whether the processor has the instructions.
#[inline]
pub(super) fn is_here() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}

/// Appends the panels of a matrix; asked for only if [`is_here`].
pub(super) fn pack(matrix: Matrix<'_>, lines: &mut Vec<Line>) {
    assert!(is_here(), "the processor lacks bf16");
    for first in (0..matrix.rows).step_by(PANEL) {
        let rows = PANEL.min(matrix.rows - first);
        // SAFETY: the instructions are here.
        match matrix.column_stride {
            1 => unsafe { transpose_panel(matrix, first, rows, lines) },
            _ => unsafe { interleave_panel(matrix, first, rows, lines) },
        }
    }
}

/// Computes a tile whose first entry is `at` (row and column of `out`); asked for only if [`is_here`].
#[inline(always)]
pub(super) fn tile<const N: usize>(
    tile: &Tile<'_, N>,
    out: &mut MatrixMut<'_>,
    at: (usize, usize),
) {
    debug_assert!(is_here(), "the processor lacks bf16");
    // SAFETY: the instructions are here.
    unsafe { sum(tile, out, at) }
}

/// The first `count` of sixteen lanes.
fn mask(count: usize) -> u16 {
    ((1_u32 << count.min(PANEL)) - 1) as u16
}

/// `count` values from the entry of a matrix on, along its stride of 1, then zeros.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn load(matrix: Matrix<'_>, row: usize, column: usize, count: usize) -> __m512 {
    if count == 0 {
        return _mm512_setzero_ps();
    }
    let values = &matrix.data[row * matrix.row_stride + column * matrix.column_stride..];
    assert!(count <= values.len(), "values outside a matrix");
    // SAFETY: `count` values are there, and the mask reads no more.
    match count {
        PANEL.. => unsafe { _mm512_loadu_ps(values.as_ptr()) },
        _ => unsafe { _mm512_maskz_loadu_ps(mask(count), values.as_ptr()) },
    }
}

/// Appends a line; there must be room for it.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn push(lines: &mut Vec<Line>, pairs: __m512i) {
    let len = lines.len();
    let room = &mut lines.spare_capacity_mut()[0];
    // SAFETY: a line is 64 bytes, aligned to 64; it is one of the vector's as soon as it is written.
    unsafe {
        _mm512_store_si512(room.as_mut_ptr().cast(), pairs);
        lines.set_len(len + 1);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn round(even: __m512, odd: __m512) -> __m512i {
    // SAFETY: both are 512 bits.
    unsafe { transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(odd, even)) }
}

/// A panel of rows whose columns lie side by side.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn transpose_panel(matrix: Matrix<'_>, first: usize, rows: usize, lines: &mut Vec<Line>) {
    for column in (0..matrix.columns).step_by(2 * PANEL) {
        let left = matrix.columns - column;
        let counts = (left.min(PANEL), left.saturating_sub(PANEL).min(PANEL));
        let mut block = [_mm512_castps_si512(_mm512_setzero_ps()); PANEL];
        for (row, block) in block.iter_mut().enumerate() {
            if row < rows {
                let low = load(matrix, first + row, column, counts.0);
                *block = round(low, load(matrix, first + row, column + PANEL, counts.1));
            }
        }
        let block = transpose(block);
        for &pairs in &block[..left.div_ceil(2).min(PANEL)] {
            push(lines, pairs);
        }
    }
}

/// A panel of rows whose entries of one column lie side by side.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn interleave_panel(matrix: Matrix<'_>, first: usize, rows: usize, lines: &mut Vec<Line>) {
    let order: [u16; 2 * PANEL] = std::array::from_fn(|at| (at % 2 * PANEL + at / 2) as u16);
    // SAFETY: both are 512 bits.
    let order = unsafe { transmute::<[u16; 2 * PANEL], __m512i>(order) };
    for column in (0..matrix.columns).step_by(2) {
        let even = load(matrix, first, column, rows);
        let odd = match column + 1 < matrix.columns {
            true => load(matrix, first, column + 1, rows),
            false => _mm512_setzero_ps(),
        };
        let pairs = _mm512_permutexvar_epi16(order, round(even, odd));
        push(lines, pairs);
    }
}

/// Exchanges the rows and columns of 16 x 16 pairs.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn transpose(rows: [__m512i; PANEL]) -> [__m512i; PANEL] {
    let zero = _mm512_castps_si512(_mm512_setzero_ps());
    let (mut twos, mut fours, mut out) = ([zero; PANEL], [zero; PANEL], [zero; PANEL]);
    for at in (0..PANEL).step_by(2) {
        twos[at] = _mm512_unpacklo_epi32(rows[at], rows[at + 1]);
        twos[at + 1] = _mm512_unpackhi_epi32(rows[at], rows[at + 1]);
    }
    for at in (0..PANEL).step_by(4) {
        fours[at] = _mm512_unpacklo_epi64(twos[at], twos[at + 2]);
        fours[at + 1] = _mm512_unpackhi_epi64(twos[at], twos[at + 2]);
        fours[at + 2] = _mm512_unpacklo_epi64(twos[at + 1], twos[at + 3]);
        fours[at + 3] = _mm512_unpackhi_epi64(twos[at + 1], twos[at + 3]);
    }
    for at in 0..4 {
        let (a, b, c, d) = (fours[at], fours[at + 4], fours[at + 8], fours[at + 12]);
        let even = (
            _mm512_shuffle_i32x4::<0x88>(a, b),
            _mm512_shuffle_i32x4::<0x88>(c, d),
        );
        let odd = (
            _mm512_shuffle_i32x4::<0xdd>(a, b),
            _mm512_shuffle_i32x4::<0xdd>(c, d),
        );
        out[at] = _mm512_shuffle_i32x4::<0x88>(even.0, even.1);
        out[at + 4] = _mm512_shuffle_i32x4::<0x88>(odd.0, odd.1);
        out[at + 8] = _mm512_shuffle_i32x4::<0xdd>(even.0, even.1);
        out[at + 12] = _mm512_shuffle_i32x4::<0xdd>(odd.0, odd.1);
    }
    out
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn sum<const N: usize>(tile: &Tile<'_, N>, out: &mut MatrixMut<'_>, (row, column): (usize, usize)) {
    let pairs = tile.left.len();
    let right = tile.right.map(|panel| panel[..pairs].as_ptr());
    let left = tile.left.as_ptr().cast::<i32>();
    let mut sums = [[_mm512_setzero_ps(); N]; TILE];
    for pair in 0..pairs {
        // SAFETY: `pair` is less than the lines of every panel here, lines are aligned to 64 bytes, and a line holds
        // two halves of `TILE` pairs (`half` is 0 or 1).
        unsafe {
            let right: [__m512bh; N] = std::array::from_fn(|n| {
                transmute::<__m512i, __m512bh>(_mm512_load_si512(right[n].add(pair).cast()))
            });
            for (at, sums) in sums.iter_mut().enumerate() {
                let left = _mm512_set1_epi32(*left.add(pair * PANEL + tile.half * TILE + at));
                let left = transmute::<__m512i, __m512bh>(left);
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = _mm512_dpbf16_ps(*sum, left, right);
                }
            }
        }
    }
    let factor = _mm512_set1_ps(tile.factor);
    for (at, sums) in sums.iter().enumerate().take(tile.rows) {
        let out = out.row(row + at, column, tile.columns);
        for (out, &sum) in out.chunks_mut(PANEL).zip(sums) {
            let sum = _mm512_mul_ps(sum, factor);
            let mask = mask(out.len());
            let at = out.as_mut_ptr();
            // SAFETY: the mask has as many lanes as `out` has values.
            unsafe {
                let old = match tile.add {
                    true => _mm512_maskz_loadu_ps(mask, at),
                    false => _mm512_setzero_ps(),
                };
                match mask {
                    u16::MAX => _mm512_storeu_ps(at, _mm512_add_ps(old, sum)),
                    _ => _mm512_mask_storeu_ps(at, mask, _mm512_add_ps(old, sum)),
                }
            }
        }
    }
}
