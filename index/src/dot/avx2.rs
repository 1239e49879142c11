//! Scores four pairs of row and query at a time with AVX2 and fused multiply-add.
//!
//! A tile is `R` rows times `Q` queries, four scores, whose sixteen partial sums each take two of
//! the sixteen registers: two queries share each load of two rows, a query left over takes four
//! rows. Plain loops for the reason given in `avx512`.

#![expect(
    clippy::needless_range_loop,
    reason = "loops over constants unroll, iterators may not"
)]

use std::arch::x86_64::{
    __m128, __m256, _mm_add_ps, _mm_shuffle_ps, _mm_storeu_ps, _mm256_add_ps,
    _mm256_castps256_ps128, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_permute2f128_ps, _mm256_setzero_ps, _mm256_shuffle_ps,
};

use super::{BLOCK, LANES, Lanes, Scorer, padded, portable};

/// Rows that are scored with all queries before the next.
const ROWS: usize = 4;

/// The partial sums of one score, or sixteen numbers of a vector.
type Pair = [__m256; 2];

/// See [`Scorer::score`].
///
/// # Panics
/// If the machine lacks AVX2 or FMA.
pub(super) fn score(scorer: &Scorer, rows: &[f32], scores: &mut [[f32; BLOCK]]) {
    let able = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    assert!(able, "this machine has no AVX2 or no FMA");
    #[expect(unsafe_code, reason = "calls a function compiled for AVX2 and FMA")]
    // SAFETY: the machine has both.
    unsafe {
        score_tiles(scorer, rows, scores);
    }
}

#[target_feature(enable = "avx2,fma")]
fn score_tiles(scorer: &Scorer, rows: &[f32], scores: &mut [[f32; BLOCK]]) {
    let mut first = 0;
    let chunks = rows.chunks_exact(ROWS * scorer.dim);
    let left = chunks.remainder();
    for rows in chunks {
        let mut q = 0;
        while q + 2 <= scorer.count {
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

/// Scores the block's rows from `first`, four of them, with the `Q` queries from `q`.
#[target_feature(enable = "avx2,fma")]
fn tiles<const R: usize, const Q: usize>(
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
    for rows in rows.chunks_exact(R * scorer.dim) {
        let tile = tile::<R, Q>(rows, scorer.dim, queries);
        for i in 0..Q {
            scores[q + i][first..][..R].copy_from_slice(&tile[i * R..][..R]);
        }
        first += R;
    }
}

/// Returns the scores of each query with each row, query by query.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn tile<const R: usize, const Q: usize>(
    rows: &[f32],
    dim: usize,
    queries: [&[Lanes]; Q],
) -> [f32; 4] {
    let steps = dim / LANES;
    let (mut whole, mut rest) = ([&[][..]; R], [&[][..]; R]);
    for r in 0..R {
        let (lanes, left) = rows[r * dim..][..dim].as_chunks::<LANES>();
        (whole[r], rest[r]) = (&lanes[..steps], left);
    }
    let mut sums = [[[_mm256_setzero_ps(); 2]; Q]; R];
    for step in 0..steps {
        for r in 0..R {
            let row = load(&whole[r][step]);
            for q in 0..Q {
                sums[r][q] = add_products(sums[r][q], row, load(&queries[q][step]));
            }
        }
    }
    if dim > steps * LANES {
        for r in 0..R {
            let row = load(&padded(rest[r]));
            for q in 0..Q {
                sums[r][q] = add_products(sums[r][q], row, load(&queries[q][steps]));
            }
        }
    }
    let mut all = [[_mm256_setzero_ps(); 2]; 4];
    for r in 0..R {
        for q in 0..Q {
            all[q * R + r] = sums[r][q];
        }
    }
    store(halve(all))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_products(sums: Pair, row: Pair, query: Pair) -> Pair {
    [
        _mm256_fmadd_ps(row[0], query[0], sums[0]),
        _mm256_fmadd_ps(row[1], query[1], sums[1]),
    ]
}

/// Halves four times sixteen sums until one of each is left, in order.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn halve(sums: [Pair; 4]) -> __m128 {
    let mut eights = [_mm256_setzero_ps(); 4];
    for i in 0..4 {
        eights[i] = _mm256_add_ps(sums[i][0], sums[i][1]);
    }
    // Four sums each of scores 0 and 2, and of 1 and 3.
    let mut fours = [_mm256_setzero_ps(); 2];
    for i in 0..2 {
        let low = _mm256_permute2f128_ps::<0x20>(eights[i], eights[i + 2]);
        let high = _mm256_permute2f128_ps::<0x31>(eights[i], eights[i + 2]);
        fours[i] = _mm256_add_ps(low, high);
    }
    // Two sums each of scores 0 and 1, and in the upper half of 2 and 3.
    let twos = _mm256_add_ps(
        _mm256_shuffle_ps::<0b01_00_01_00>(fours[0], fours[1]),
        _mm256_shuffle_ps::<0b11_10_11_10>(fours[0], fours[1]),
    );
    let (a, b) = (
        _mm256_castps256_ps128(twos),
        _mm256_extractf128_ps::<1>(twos),
    );
    _mm_add_ps(
        _mm_shuffle_ps::<0b10_00_10_00>(a, b),
        _mm_shuffle_ps::<0b11_01_11_01>(a, b),
    )
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn load(lanes: &Lanes) -> Pair {
    #[expect(unsafe_code, reason = "the intrinsic takes a pointer")]
    // SAFETY: sixteen f32 are behind the reference; the loads need no alignment.
    unsafe {
        [
            _mm256_loadu_ps(lanes.as_ptr()),
            _mm256_loadu_ps(lanes.as_ptr().add(8)),
        ]
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn store(register: __m128) -> [f32; 4] {
    let mut lanes = [0.0; 4];
    #[expect(unsafe_code, reason = "the intrinsic takes a pointer")]
    // SAFETY: four f32 are behind the reference; the store needs no alignment.
    unsafe {
        _mm_storeu_ps(lanes.as_mut_ptr(), register);
    }
    lanes
}
