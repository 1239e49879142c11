//! The items that a recall should find, by comparing every vector.

use std::collections::HashSet;

use crate::{K, asked::Wanted, catalog::Catalog};

/// The [`K`] items with the greatest dot product with any interest, those that the user has seen left out; of equal ones the smaller
/// ids.
pub(crate) fn best(catalog: &Catalog, wanted: &Wanted) -> HashSet<u64> {
    let dim = catalog.dim;
    let rows = catalog.vectors.chunks_exact(dim);
    let mut scored: Vec<(f32, u64)> = rows
        .zip(1..)
        .map(|(row, id)| {
            let scores = wanted.interests.chunks_exact(dim);
            let scores = scores.map(|interest| dot(interest, row));
            (scores.fold(f32::NEG_INFINITY, f32::max), id)
        })
        .filter(|(_, id)| wanted.seen.binary_search(id).is_err())
        .collect();
    let order = |a: &(f32, u64), b: &(f32, u64)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if scored.len() > K {
        scored.select_nth_unstable_by(K, order);
        scored.truncate(K);
    }
    scored.into_iter().map(|(_, id)| id).collect()
}

/// The share of the best that was found.
pub(crate) fn recall(found: &[u64], best: &HashSet<u64>) -> f64 {
    let hits = found.iter().filter(|id| best.contains(id)).count();
    hits as f64 / best.len().max(1) as f64
}

/// In sixteen sums, which the compiler keeps in a register.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, rest_a) = a.as_chunks::<16>();
    let (b, rest_b) = b.as_chunks::<16>();
    let mut sums = [0.0_f32; 16];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest = rest_a.iter().zip(rest_b).map(|(a, b)| a * b);
    sums.iter().sum::<f32>() + rest.sum::<f32>()
}
