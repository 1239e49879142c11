//! Dynamic routing of a history's items to interests, with the gradient through its last iteration.
//!
//! Behaviour-to-interest routing (MIND; Li et al., CIKM 2019, section 4.3), of one user with the mapped items `x_i`:
//! ```text
//! w_ik = softmax over the interests k of b_ik       z_k = sum_i w_ik x_i
//! c_k  = squash(z_k) = z |z| / (1 + |z|^2)          b_ik += c_k . x_i       and again, `iterations` times
//! ```
//! Every user has logits `b` of its own, made anew for each pass. The weights of the last iteration are constants of the
//! backward: what came before them has no gradient.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::kernels::bag::Bags;
use crate::kernels::simd::{dot, softmax, vectorized};
use crate::kernels::tape::Tape;
use crate::kernels::{read, tensor, values};

/// Added to a squared length before its root.
pub(crate) const EPSILON: f32 = 1e-9;

/// Histories to route, newest event last.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// Rows of the items' table; no padding among them.
    pub(crate) bags: Bags,
    /// How many of the interests each user has; the others get no item.
    pub(crate) active: Arc<[u32]>,
    /// How many interests there are room for.
    pub(crate) interests: usize,
}

/// Routes, and returns every event's weights over the interests.
///
/// # Shapes
/// - `table`: `[rows, d]`, mapped items; `positions`: `[ages, d]`, added to them, the newest event has age 0
/// - `start`: `[events, interests]`, the logits before the first iteration
/// - returns: `[events, interests]`; a row sums to 1 over the user's interests
pub(crate) fn weights(
    table: &Tensor,
    positions: &Tensor,
    batch: &Batch,
    mut start: Vec<f32>,
    iterations: usize,
) -> Result<Arc<[f32]>> {
    let width = table.dim(1)?;
    read(table, |table| {
        read(positions, |positions| {
            let mut rows = start.as_mut_slice();
            for (ids, &active) in batch.bags.iter().zip(&*batch.active) {
                let (logits, rest) = rows.split_at_mut(ids.len() * batch.interests);
                let x = gather(table, positions, ids, width);
                route(&x, logits, width, active as usize, iterations);
                rows = rest;
            }
        })
    })??;
    Ok(start.into())
}

/// The capsules of [`weights`]: `squash(sum_i w_ik x_i)`, `[users * interests, d]`.
pub(crate) fn capsules(
    tape: &Tape,
    table: &Tensor,
    positions: &Tensor,
    batch: &Batch,
    weights: Arc<[f32]>,
) -> Result<Tensor> {
    let batch = batch.clone();
    tape.apply2(table, positions, Capsules { batch, weights })
}

struct Capsules {
    batch: Batch,
    weights: Arc<[f32]>,
}

impl Capsules {
    /// Each user's items and their weights.
    fn users(&self) -> impl Iterator<Item = (&[u32], &[f32])> {
        let mut start = 0;
        self.batch.bags.iter().map(move |ids| {
            let end = start + ids.len() * self.batch.interests;
            let weights = &self.weights[start..end];
            start = end;
            (ids, weights)
        })
    }

    fn backward(
        &self,
        table: &[f32],
        positions: &[f32],
        grad: &[f32],
        width: usize,
    ) -> (Vec<f32>, Vec<f32>) {
        let size = self.batch.interests * width;
        let mut of_table = vec![0.0; table.len()];
        let mut of_positions = vec![0.0; positions.len()];
        let mut sums = vec![0.0; size];
        for ((ids, weights), grad) in self.users().zip(grad.chunks_exact(size)) {
            let x = gather(table, positions, ids, width);
            sum(&x, weights, width, &mut sums);
            for (sum, grad) in sums.chunks_exact_mut(width).zip(grad.chunks_exact(width)) {
                squash_backward(sum, grad);
            }
            scatter(&sums, weights, ids, width, &mut of_table, &mut of_positions);
        }
        (of_table, of_positions)
    }
}

impl CustomOp2 for Capsules {
    fn name(&self) -> &'static str {
        "capsules"
    }

    fn cpu_fwd(
        &self,
        table: &CpuStorage,
        table_layout: &Layout,
        positions: &CpuStorage,
        positions_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = table_layout.shape().dims2()?;
        let table = values(table, table_layout)?;
        let positions = values(positions, positions_layout)?;
        let size = self.batch.interests * width;
        let rows = self.batch.bags.len() * self.batch.interests;
        let mut out = vec![0.0; rows * width];
        for ((ids, weights), out) in self.users().zip(out.chunks_exact_mut(size)) {
            sum(&gather(table, positions, ids, width), weights, width, out);
            out.chunks_exact_mut(width).for_each(squash);
        }
        Ok((CpuStorage::F32(out), (rows, width).into()))
    }

    fn bwd(
        &self,
        table: &Tensor,
        positions: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let width = table.dim(1)?;
        let (of_table, of_positions) = read(table, |table| {
            read(positions, |positions| {
                read(grad, |grad| self.backward(table, positions, grad, width))
            })
        })???;
        Ok((
            Some(tensor(of_table, table)?),
            Some(tensor(of_positions, positions)?),
        ))
    }
}

vectorized! {
    /// The mapped items of one user, `[events, width]`.
    fn gather(table: &[f32], positions: &[f32], ids: &[u32], width: usize) -> Vec<f32> {
        let mut x = vec![0.0; ids.len() * width];
        for (at, (&id, x)) in ids.iter().zip(x.chunks_exact_mut(width)).enumerate() {
            let row = &table[id as usize * width..][..width];
            let position = &positions[(ids.len() - 1 - at) * width..][..width];
            for ((x, row), position) in x.iter_mut().zip(row).zip(position) {
                *x = row + position;
            }
        }
        x
    }
}

vectorized! {
    /// Turns one user's logits `[events, interests]` into the weights of the last iteration.
    fn route(x: &[f32], logits: &mut [f32], width: usize, active: usize, iterations: usize) {
        let events = x.len() / width;
        if events == 0 {
            return;
        }
        let interests = logits.len() / events;
        let mut weights = vec![0.0; logits.len()];
        let mut capsules = vec![0.0; interests * width];
        for iteration in 1..=iterations {
            weights.copy_from_slice(logits);
            for weights in weights.chunks_exact_mut(interests) {
                softmax(&mut weights[..active]);
                weights[active..].fill(0.0);
            }
            if iteration == iterations {
                break;
            }
            weighted_sum(x, &weights, width, &mut capsules);
            for capsule in capsules.chunks_exact_mut(width) {
                squash(capsule);
            }
            for (x, logits) in x.chunks_exact(width).zip(logits.chunks_exact_mut(interests)) {
                for (logit, capsule) in logits.iter_mut().zip(capsules.chunks_exact(width)) {
                    *logit += dot(capsule, x);
                }
            }
        }
        logits.copy_from_slice(&weights);
    }
}

vectorized! {
    /// `sum_i w_ik x_i` for each interest.
    fn sum(x: &[f32], weights: &[f32], width: usize, out: &mut [f32]) {
        weighted_sum(x, weights, width, out);
    }
}

#[inline(always)]
fn weighted_sum(x: &[f32], weights: &[f32], width: usize, out: &mut [f32]) {
    let interests = out.len() / width;
    out.fill(0.0);
    for (x, weights) in x.chunks_exact(width).zip(weights.chunks_exact(interests)) {
        for (weight, out) in weights.iter().zip(out.chunks_exact_mut(width)) {
            for (out, x) in out.iter_mut().zip(x) {
                *out += weight * x;
            }
        }
    }
}

/// `z -> z |z| / (1 + |z|^2)`: the direction stays, the length goes below 1.
#[inline(always)]
fn squash(z: &mut [f32]) {
    let square = dot(z, z);
    let factor = square / ((1.0 + square) * (square + EPSILON).sqrt());
    z.iter_mut().for_each(|z| *z *= factor);
}

/// Replaces `z` by the gradient that `squash(z)` hands on.
#[inline(always)]
fn squash_backward(z: &mut [f32], grad: &[f32]) {
    let square = dot(z, z);
    let root = (square + EPSILON).sqrt();
    let factor = square / ((1.0 + square) * root);
    // The derivative of `factor` by `square`.
    let slope =
        (1.0 / (1.0 + square) - 0.5 * square / (square + EPSILON)) / ((1.0 + square) * root);
    let along = 2.0 * slope * dot(z, grad);
    for (z, grad) in z.iter_mut().zip(grad) {
        *z = factor * grad + along * *z;
    }
}

vectorized! {
    /// Adds each event's share of the sums' gradients to its rows.
    fn scatter(
        grads: &[f32],
        weights: &[f32],
        ids: &[u32],
        width: usize,
        table: &mut [f32],
        positions: &mut [f32],
    ) {
        let interests = grads.len() / width;
        for (at, (&id, weights)) in ids.iter().zip(weights.chunks_exact(interests)).enumerate() {
            let row = &mut table[id as usize * width..][..width];
            let position = &mut positions[(ids.len() - 1 - at) * width..][..width];
            for (weight, grad) in weights.iter().zip(grads.chunks_exact(width)) {
                for ((row, position), grad) in row.iter_mut().zip(position.iter_mut()).zip(grad) {
                    *row += weight * grad;
                    *position += weight * grad;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::kernels::gradient::{check, random};

    fn batch(active: &[u32]) -> Batch {
        Batch {
            bags: Bags::ragged(vec![1, 5, 5, 2], vec![2, 2, 4]),
            active: active.into(),
            interests: 3,
        }
    }

    fn start(seed: u64) -> Vec<f32> {
        random(&[12], seed).to_vec1().unwrap()
    }

    fn routed(active: &[u32], iterations: usize) -> Vec<f32> {
        let (table, positions) = (random(&[6, 8], 1), random(&[2, 8], 2));
        let weights = weights(&table, &positions, &batch(active), start(3), iterations);
        weights.unwrap().to_vec()
    }

    #[test]
    fn the_backward_agrees_with_differences_at_the_last_weights() {
        let inputs = [random(&[6, 8], 1), random(&[2, 8], 2)];
        let batch = batch(&[3, 3, 2]);
        let weights = weights(&inputs[0], &inputs[1], &batch, start(3), 3).unwrap();
        check(&inputs, |tape, inputs| {
            capsules(tape, &inputs[0], &inputs[1], &batch, weights.clone())
        });
    }

    #[test]
    fn an_event_s_weights_sum_to_one_over_the_interests_and_not_over_positions() {
        let weights = routed(&[3, 3, 3], 3);
        for event in weights.chunks(3) {
            assert!((event.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{event:?}");
        }
        let of_interest: f32 = weights[..6].iter().step_by(3).sum();
        assert!((of_interest - 1.0).abs() > 1e-2, "{weights:?}");
    }

    #[test]
    fn interests_that_a_user_does_not_have_get_no_item() {
        let weights = routed(&[2, 3, 1], 3);
        assert_eq!([weights[2], weights[5]], [0.0, 0.0]);
        assert_eq!(weights[6..], [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn iterations_move_weights_towards_the_capsule_that_an_item_agrees_with() {
        assert_ne!(routed(&[3; 3], 1), routed(&[3; 3], 2));
        let rows = [1.0, 0.0, 0.9, 0.1, 0.0, 1.0];
        let logits = [0.5, 0.0, 0.5, 0.0, 0.0, 0.5];
        let after = |iterations| {
            let mut weights = logits;
            route(&rows, &mut weights, 2, 2, iterations);
            weights[0]
        };
        assert!(after(3) > after(2) && after(2) > after(1));
    }

    #[test]
    fn a_user_is_routed_alike_whoever_else_is_in_the_batch() {
        let (table, positions) = (random(&[6, 8], 1), random(&[2, 8], 2));
        let alone = Batch {
            bags: Bags::ragged(vec![5, 2], vec![2]),
            active: [3].into(),
            interests: 3,
        };
        let alone = weights(&table, &positions, &alone, start(3)[6..].to_vec(), 3).unwrap();
        assert_eq!(alone[..], routed(&[3; 3], 3)[6..]);
    }

    #[test]
    fn an_empty_history_has_capsules_of_zeros() {
        let (table, positions) = (random(&[6, 8], 1), random(&[2, 8], 2));
        let batch = batch(&[3; 3]);
        let weights = weights(&table, &positions, &batch, start(3), 3).unwrap();
        let out = capsules(&Tape::off(), &table, &positions, &batch, weights).unwrap();
        let rows = out.to_vec2::<f32>().unwrap();
        assert_eq!(rows[3..6], vec![vec![0.0; 8]; 3]);
        let lengths = rows[..3].iter().map(|row| dot(row, row).sqrt());
        assert!(lengths.clone().all(|length| 0.0 < length && length < 1.0));
    }
}
