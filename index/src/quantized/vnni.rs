//! The bounds of two tiles' scores by AVX-512 VNNI: four products of bytes and their sum in each of sixteen lanes.

#![expect(
    clippy::needless_range_loop,
    reason = "loops over constants unroll, iterators may not"
)]

use std::arch::x86_64::{
    __m512, __m512i, _CMP_NLT_UQ, _mm512_add_ps, _mm512_cmp_ps_mask, _mm512_cvtepi32_ps,
    _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_max_ps,
    _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_si512, _mm512_storeu_ps,
    _mm512_sub_epi32, _mm512_sub_ps,
};

use super::{Bounds, Factors, Line, TILE, rounded::Queries};

/// Queries whose sums are in registers at once, with those of two tiles.
const TOGETHER: usize = 8;

/// Whether this machine has the instructions.
pub(super) fn supported() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")
}

/// Returns the bounds of the rows of two tiles; those of rows that do not reach the bar may be left out.
///
/// # Shapes
/// - `lines`: `[2, steps]`; `factors`: `[2]`
///
/// # Panics
/// If the machine lacks the instructions.
pub(super) fn bounds(lines: &[Line], factors: &[Factors], queries: &Queries, bar: f32) -> Bounds {
    assert!(supported(), "this machine has no AVX-512 VNNI");
    #[expect(unsafe_code, reason = "calls a function compiled for AVX-512 VNNI")]
    // SAFETY: the machine has AVX-512F and VNNI.
    unsafe {
        of_two_tiles(lines, factors, queries, bar)
    }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn of_two_tiles(lines: &[Line], factors: &[Factors], queries: &Queries, bar: f32) -> Bounds {
    let mut best = [_mm512_set1_ps(f32::NEG_INFINITY); 2];
    let mut q = 0;
    while q < queries.scales.len() {
        let left = queries.scales.len() - q;
        match left {
            1 => greatest::<1>(lines, queries, q, &mut best),
            2 => greatest::<2>(lines, queries, q, &mut best),
            3 => greatest::<3>(lines, queries, q, &mut best),
            4 => greatest::<4>(lines, queries, q, &mut best),
            5 => greatest::<5>(lines, queries, q, &mut best),
            6 => greatest::<6>(lines, queries, q, &mut best),
            7 => greatest::<7>(lines, queries, q, &mut best),
            _ => greatest::<TOGETHER>(lines, queries, q, &mut best),
        }
        q += left.min(TOGETHER);
    }
    let mut bounds = Bounds {
        lower: [[0.0; TILE]; 2],
        upper: [[0.0; TILE]; 2],
        reach: [0; 2],
    };
    // More than products that are too small for f32 add up to.
    let underflow = _mm512_set1_ps(f32::MIN_POSITIVE);
    let (length, lost) = (_mm512_set1_ps(queries.length), _mm512_set1_ps(queries.lost));
    for t in 0..2 {
        let score = _mm512_mul_ps(best[t], load(&factors[t].scale));
        let off = _mm512_fmadd_ps(load(&factors[t].length), lost, underflow);
        let off = _mm512_fmadd_ps(load(&factors[t].lost), length, off);
        let upper = _mm512_add_ps(score, off);
        bounds.reach[t] = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(upper, _mm512_set1_ps(bar));
        if bounds.reach[t] != 0 {
            store(&mut bounds.upper[t], upper);
            store(&mut bounds.lower[t], _mm512_sub_ps(score, off));
        }
    }
    bounds
}

/// Takes up into `best` the scores of the `Q` queries from `q`, over the scale of the row.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn greatest<const Q: usize>(lines: &[Line], queries: &Queries, q: usize, best: &mut [__m512; 2]) {
    let steps = lines.len() / 2;
    let (first, second) = lines.split_at(steps);
    let mut words = [&[][..]; Q];
    for i in 0..Q {
        words[i] = &queries.words[(q + i) * steps..][..steps];
    }
    let mut sums = [[_mm512_setzero_si512(); Q]; 2];
    for step in 0..steps {
        let rows = [line(&first[step]), line(&second[step])];
        for i in 0..Q {
            let word = _mm512_set1_epi32(words[i][step]);
            sums[0][i] = _mm512_dpbusd_epi32(sums[0][i], rows[0], word);
            sums[1][i] = _mm512_dpbusd_epi32(sums[1][i], rows[1], word);
        }
    }
    for i in 0..Q {
        let shift = _mm512_set1_epi32(queries.shifts[q + i]);
        let scale = _mm512_set1_ps(queries.scales[q + i]);
        for t in 0..2 {
            let whole = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[t][i], shift));
            best[t] = _mm512_max_ps(best[t], _mm512_mul_ps(whole, scale));
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn line(line: &Line) -> __m512i {
    #[expect(unsafe_code, reason = "the intrinsic takes a pointer")]
    // SAFETY: 64 bytes are behind the reference.
    unsafe {
        _mm512_loadu_si512((&raw const line.0).cast())
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(lanes: &[f32; TILE]) -> __m512 {
    #[expect(unsafe_code, reason = "the intrinsic takes a pointer")]
    // SAFETY: sixteen f32 are behind the reference.
    unsafe {
        _mm512_loadu_ps(lanes.as_ptr())
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(lanes: &mut [f32; TILE], register: __m512) {
    #[expect(unsafe_code, reason = "the intrinsic takes a pointer")]
    // SAFETY: sixteen f32 are behind the reference.
    unsafe {
        _mm512_storeu_ps(lanes.as_mut_ptr(), register);
    }
}
