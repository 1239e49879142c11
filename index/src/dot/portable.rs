//! Scores rows one by one, in plain Rust.

use super::{BLOCK, LANES, Lanes, Scorer, padded};

/// Whether the target always has fused multiply-add; elsewhere a call of it is slow.
const FUSED: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

/// See [`Scorer::score`].
pub(super) fn score(scorer: &Scorer, rows: &[f32], scores: &mut [[f32; BLOCK]]) {
    score_with(scorer, rows, 0, scores, FUSED);
}

/// Scores the block's rows from `first`. Inlined into a function with more instructions, this is
/// compiled to them.
#[inline(always)]
pub(super) fn score_with(
    scorer: &Scorer,
    rows: &[f32],
    first: usize,
    scores: &mut [[f32; BLOCK]],
    fused: bool,
) {
    for (r, row) in rows.chunks_exact(scorer.dim).enumerate() {
        for (q, scores) in scores.iter_mut().enumerate() {
            scores[first + r] = dot(row, scorer.query(q), fused);
        }
    }
}

#[inline(always)]
fn dot(row: &[f32], query: &[Lanes], fused: bool) -> f32 {
    let mut sums = [0.0; LANES];
    let (whole, rest) = row.as_chunks::<LANES>();
    for (row, query) in whole.iter().zip(query) {
        add_products(&mut sums, row, query, fused);
    }
    if !rest.is_empty() {
        add_products(&mut sums, &padded(rest), &query[whole.len()], fused);
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
    }
    sums[0]
}

#[inline(always)]
fn add_products(sums: &mut Lanes, row: &Lanes, query: &Lanes, fused: bool) {
    for lane in 0..LANES {
        sums[lane] = match fused {
            true => row[lane].mul_add(query[lane], sums[lane]),
            false => row[lane] * query[lane] + sums[lane],
        };
    }
}
