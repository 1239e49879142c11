//! Scores sixteen pairs of row and query at a time with AVX-512.
//!
//! A tile is `G` groups of four rows times `Q` queries, sixteen scores whose partial sums fill
//! sixteen registers. Up to four queries share each load of a row. Halving the sums of sixteen scores
//! together costs 45 instructions, not 128.
//!
//! Plain loops over constants, and no closures: the compiler unrolls them and keeps every sum in a
//! register, which it does not where a closure borrows them.

#![expect(
    clippy::needless_range_loop,
    reason = "loops over constants unroll, iterators may not"
)]

use std::arch::x86_64::{
    __m512, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_setzero_ps,
    _mm512_shuffle_f32x4, _mm512_shuffle_ps, _mm512_storeu_ps,
};

use super::{BLOCK, LANES, Lanes, Scorer, padded, portable};

/// Rows that are scored with all queries before the next.
const ROWS: usize = 16;

/// See [`Scorer::score`].
///
/// # Panics
/// If the machine lacks AVX-512F.
pub(super) fn score(scorer: &Scorer, rows: &[f32], scores: &mut [[f32; BLOCK]]) {
    assert!(
        is_x86_feature_detected!("avx512f"),
        "this machine has no AVX-512F"
    );
    #[expect(unsafe_code, reason = "calls a function compiled for AVX-512F")]
    // SAFETY: the machine has AVX-512F.
    unsafe {
        score_tiles(scorer, rows, scores);
    }
}

#[target_feature(enable = "avx512f")]
fn score_tiles(scorer: &Scorer, rows: &[f32], scores: &mut [[f32; BLOCK]]) {
    let mut first = 0;
    let chunks = rows.chunks_exact(ROWS * scorer.dim);
    let left = chunks.remainder();
    for rows in chunks {
        let mut q = 0;
        while q + 4 <= scorer.count {
            tiles::<1, 4>(scorer, q, rows, first, scores);
            q += 4;
        }
        if q + 2 <= scorer.count {
            tiles::<2, 2>(scorer, q, rows, first, scores);
            q += 2;
        }
        if q < scorer.count {
            tiles::<4, 1>(scorer, q, rows, first, scores);
        }
        first += ROWS;
    }
    portable::score_with(scorer, left, first, scores, true);
}

/// Scores the block's rows from `first`, sixteen of them, with the `Q` queries from `q`.
#[target_feature(enable = "avx512f")]
fn tiles<const G: usize, const Q: usize>(
    scorer: &Scorer,
    q: usize,
    rows: &[f32],
    mut first: usize,
    scores: &mut [[f32; BLOCK]],
) {
    let mut queries = [&[][..]; Q];
    for i in 0..Q {
        queries[i] = scorer.query(q + i);
    }
    for rows in rows.chunks_exact(G * 4 * scorer.dim) {
        let tile = tile::<G, Q>(rows, scorer.dim, queries);
        for i in 0..Q {
            scores[q + i][first..][..G * 4].copy_from_slice(&tile[i * G * 4..][..G * 4]);
        }
        first += G * 4;
    }
}

/// Returns the scores of each query with each row, query by query.
#[inline]
#[target_feature(enable = "avx512f")]
fn tile<const G: usize, const Q: usize>(rows: &[f32], dim: usize, queries: [&[Lanes]; Q]) -> Lanes {
    let mut sums = [_mm512_setzero_ps(); LANES];
    for g in 0..G {
        let group = four_rows::<Q>(&rows[g * 4 * dim..][..4 * dim], dim, queries);
        for r in 0..4 {
            for q in 0..Q {
                sums[(q * G + g) * 4 + r] = group[r][q];
            }
        }
    }
    store(halve(sums))
}

/// Returns the partial sums of each of four rows with each query.
#[inline]
#[target_feature(enable = "avx512f")]
fn four_rows<const Q: usize>(rows: &[f32], dim: usize, queries: [&[Lanes]; Q]) -> [[__m512; Q]; 4] {
    let steps = dim / LANES;
    let (mut whole, mut rest) = ([&[][..]; 4], [&[][..]; 4]);
    for r in 0..4 {
        let (lanes, left) = rows[r * dim..][..dim].as_chunks::<LANES>();
        (whole[r], rest[r]) = (&lanes[..steps], left);
    }
    let mut sums = [[_mm512_setzero_ps(); Q]; 4];
    for step in 0..steps {
        let mut query = [_mm512_setzero_ps(); Q];
        for q in 0..Q {
            query[q] = load(&queries[q][step]);
        }
        for r in 0..4 {
            let row = load(&whole[r][step]);
            for q in 0..Q {
                sums[r][q] = _mm512_fmadd_ps(row, query[q], sums[r][q]);
            }
        }
    }
    if dim > steps * LANES {
        for r in 0..4 {
            let row = load(&padded(rest[r]));
            for q in 0..Q {
                sums[r][q] = _mm512_fmadd_ps(row, load(&queries[q][steps]), sums[r][q]);
            }
        }
    }
    sums
}

/// Halves sixteen times sixteen sums until one of each is left, in order.
///
/// Each step folds two registers into one that holds half as many sums of twice as many scores.
/// The shuffles take 128-bit quarters first and single numbers last, so that scores taken up in the
/// order of their numbers would come out as `0, 4, 8, 12, 1, 5, ...`: they are taken up in that one.
#[inline]
#[target_feature(enable = "avx512f")]
fn halve(sums: [__m512; 16]) -> __m512 {
    const TAKE: [usize; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];
    let mut eights = [_mm512_setzero_ps(); 8];
    for i in 0..8 {
        let (a, b) = (sums[TAKE[2 * i]], sums[TAKE[2 * i + 1]]);
        let low = _mm512_shuffle_f32x4::<0b01_00_01_00>(a, b);
        let high = _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b);
        eights[i] = _mm512_add_ps(low, high);
    }
    let mut fours = [_mm512_setzero_ps(); 4];
    for i in 0..4 {
        let (a, b) = (eights[2 * i], eights[2 * i + 1]);
        let low = _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b);
        let high = _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b);
        fours[i] = _mm512_add_ps(low, high);
    }
    let mut twos = [_mm512_setzero_ps(); 2];
    for i in 0..2 {
        let (a, b) = (fours[2 * i], fours[2 * i + 1]);
        let low = _mm512_shuffle_ps::<0b01_00_01_00>(a, b);
        let high = _mm512_shuffle_ps::<0b11_10_11_10>(a, b);
        twos[i] = _mm512_add_ps(low, high);
    }
    let low = _mm512_shuffle_ps::<0b10_00_10_00>(twos[0], twos[1]);
    let high = _mm512_shuffle_ps::<0b11_01_11_01>(twos[0], twos[1]);
    _mm512_add_ps(low, high)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(lanes: &Lanes) -> __m512 {
    #[expect(unsafe_code, reason = "the intrinsic takes a pointer")]
    // SAFETY: sixteen f32 are behind the reference; the load needs no alignment.
    unsafe {
        _mm512_loadu_ps(lanes.as_ptr())
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(register: __m512) -> Lanes {
    let mut lanes = [0.0; LANES];
    #[expect(unsafe_code, reason = "the intrinsic takes a pointer")]
    // SAFETY: sixteen f32 are behind the reference; the store needs no alignment.
    unsafe {
        _mm512_storeu_ps(lanes.as_mut_ptr(), register);
    }
    lanes
}
