//! From scores of causal attention to weights and back: the biases, the softmax over the past, the drops.

use crate::kernels::dropout::Dropout;
use crate::kernels::simd::{dot, softmax, vectorized};

vectorized! {
    /// Adds the bias of each pair's bucket to the scores up to the query.
    pub(super) fn add_elapsed(scores: &mut [f32], rows: usize, between: &[u8], elapsed: &[f32]) {
        let pairs = scores.chunks_exact_mut(rows).zip(between.chunks_exact(rows));
        for (query, (scores, between)) in pairs.enumerate() {
            for (score, &bucket) in scores[..=query].iter_mut().zip(between) {
                *score += elapsed[usize::from(bucket)];
            }
        }
    }
}

/// Adds up the gradients of scores by bucket.
pub(super) fn pull_elapsed(pull: &[f32], rows: usize, between: &[u8], by_bucket: &mut [f32]) {
    let pairs = pull.chunks_exact(rows).zip(between.chunks_exact(rows));
    for (query, (pull, between)) in pairs.enumerate() {
        for (pull, &bucket) in pull[..=query].iter().zip(between) {
            by_bucket[usize::from(bucket)] += pull;
        }
    }
}

vectorized! {
    /// Scores to weights: adds the bias, softmax over the keys up to the query, 0 after it.
    pub(super) fn attend(scores: &mut [f32], rows: usize, distance: &[f32]) {
        for (query, row) in scores.chunks_exact_mut(rows).enumerate() {
            let (past, future) = row.split_at_mut(query + 1);
            for (score, bias) in past.iter_mut().rev().zip(distance) {
                *score += bias;
            }
            softmax(past);
            future.fill(0.0);
        }
    }
}

vectorized! {
    /// Gradients of weights to gradients of scores, in place; those of the bias are added up.
    pub(super) fn unattend(pull: &mut [f32], weights: &[f32], rows: usize, grad_distance: &mut [f32]) {
        for (query, (row, weights)) in pull.chunks_exact_mut(rows).zip(weights.chunks_exact(rows)).enumerate() {
            let (past, future) = row.split_at_mut(query + 1);
            let weights = &weights[..=query];
            let mean = dot(past, weights);
            for (pull, weight) in past.iter_mut().zip(weights) {
                *pull = (*pull - mean) * weight;
            }
            for (grad, pull) in grad_distance.iter_mut().zip(past.iter().rev()) {
                *grad += pull;
            }
            future.fill(0.0);
        }
    }
}

vectorized! {
    /// Drops weights, or gradients of them, whose first has the number `start`.
    pub(super) fn drop_weights(weights: &mut [f32], dropout: Dropout, start: usize) {
        for (index, weight) in weights.iter_mut().enumerate() {
            *weight *= dropout.factor((start + index) as u32);
        }
    }
}
