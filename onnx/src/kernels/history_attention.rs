//! Softmax attention of every event of a history to all of its events, with a learned bias for each head and distance.
//!
//! A batch is its histories end to end, so that there is no padding to hide.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::kernels::heads::Heads;
use crate::kernels::matmul::{Matrix, MatrixMut, multiply};
use crate::kernels::simd::{dot, softmax, vectorized};
use crate::kernels::tape::Tape;
use crate::kernels::{read, tensor, values};

/// Attends in each history.
///
/// # Shapes
/// - `qkv`: `[n, 3d]`, in each row the queries, keys and values, each head after head
/// - `distance`: `[heads, 2 * length - 1]`, added to the score of query `t` and key `s`: column `length - 1 + t - s`
/// - `ends`: where each history ends, ascending to `n`; none longer than `length`
/// - returns: `[n, d]`
pub(crate) fn history_attention(
    tape: &Tape,
    qkv: &Tensor,
    distance: &Tensor,
    ends: &Arc<[u32]>,
) -> Result<Tensor> {
    let op = HistoryAttention {
        ends: ends.clone(),
        weights: Mutex::default(),
    };
    tape.apply2(qkv, distance, op)
}

struct HistoryAttention {
    ends: Arc<[u32]>,
    /// The softmax of every history and head, kept for the backward.
    weights: Mutex<Vec<f32>>,
}

impl CustomOp2 for HistoryAttention {
    fn name(&self) -> &'static str {
        "history-attention"
    }

    fn cpu_fwd(
        &self,
        qkv: &CpuStorage,
        qkv_layout: &Layout,
        distance: &CpuStorage,
        distance_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let heads = Heads::new(qkv_layout.shape(), distance_layout.shape())?;
        let (qkv, distance) = (values(qkv, qkv_layout)?, values(distance, distance_layout)?);
        let rows = qkv.len() / (3 * heads.width);
        let mut out = vec![0.0; rows * heads.width];
        let mut all = Vec::new();
        for part in heads.parts(&self.ends) {
            let place = heads.weights(part);
            all.resize(place.end, 0.0);
            let weights = &mut all[place];
            multiply(
                MatrixMut::new(weights, part.rows, part.rows),
                heads.of(qkv, part, 0),
                heads.of(qkv, part, 1).transposed(),
                heads.scale(),
            );
            attend(
                weights,
                part.rows,
                &distance[heads.bias(part, distance.len())],
            );
            multiply(
                heads.out_mut(&mut out, part),
                Matrix::new(weights, part.rows, part.rows),
                heads.of(qkv, part, 2),
                1.0,
            );
        }
        *self.weights.lock().unwrap_or_else(PoisonError::into_inner) = all;
        Ok((CpuStorage::F32(out), (rows, heads.width).into()))
    }

    fn bwd(
        &self,
        qkv: &Tensor,
        distance: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let heads = Heads::new(qkv.shape(), distance.shape())?;
        let mut grad_qkv = vec![0.0; qkv.elem_count()];
        let mut grad_distance = vec![0.0; distance.elem_count()];
        let all = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        read(qkv, |qkv| {
            read(grad, |grad| {
                let mut pull = Vec::new();
                for part in heads.parts(&self.ends) {
                    let weights = &all[heads.weights(part)];
                    let by_keys = Matrix::new(weights, part.rows, part.rows);
                    let grad = heads.out(grad, part);
                    let of_values = heads.of_mut(&mut grad_qkv, part, 2);
                    multiply(of_values, by_keys.transposed(), grad, 1.0);
                    pull.resize(weights.len(), 0.0);
                    multiply(
                        MatrixMut::new(&mut pull, part.rows, part.rows),
                        grad,
                        heads.of(qkv, part, 2).transposed(),
                        1.0,
                    );
                    let row = heads.bias(part, grad_distance.len());
                    unattend(&mut pull, weights, part.rows, &mut grad_distance[row]);
                    let pull = Matrix::new(&pull, part.rows, part.rows);
                    let of_queries = heads.of_mut(&mut grad_qkv, part, 0);
                    multiply(of_queries, pull, heads.of(qkv, part, 1), heads.scale());
                    let of_keys = heads.of_mut(&mut grad_qkv, part, 1);
                    let pull = pull.transposed();
                    multiply(of_keys, pull, heads.of(qkv, part, 0), heads.scale());
                }
            })
        })??;
        let grad_distance = tensor(grad_distance, distance)?;
        Ok((Some(tensor(grad_qkv, qkv)?), Some(grad_distance)))
    }
}

vectorized! {
    /// Scores to weights: adds the bias, softmax over the keys.
    fn attend(scores: &mut [f32], rows: usize, distance: &[f32]) {
        let middle = distance.len() / 2;
        for (query, row) in scores.chunks_exact_mut(rows).enumerate() {
            for (score, bias) in row.iter_mut().zip(distance[..=middle + query].iter().rev()) {
                *score += bias;
            }
            softmax(row);
        }
    }
}

vectorized! {
    /// Gradients of weights to gradients of scores, in place; those of the bias are added up.
    fn unattend(pull: &mut [f32], weights: &[f32], rows: usize, grad_distance: &mut [f32]) {
        let middle = grad_distance.len() / 2;
        let rows = pull.chunks_exact_mut(rows).zip(weights.chunks_exact(rows));
        for (query, (row, weights)) in rows.enumerate() {
            let mean = dot(row, weights);
            let biases = grad_distance[..=middle + query].iter_mut().rev();
            for ((pull, weight), bias) in row.iter_mut().zip(weights).zip(biases) {
                *pull = (*pull - mean) * weight;
                *bias += *pull;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use candle_core::Device;

    use super::*;
    use crate::kernels::gradient::{check, random};

    #[test]
    fn the_backward_agrees_with_differences() {
        let inputs = [random(&[9, 12], 1), random(&[2, 9], 2)];
        let ends: Arc<[u32]> = vec![1, 1, 6, 9].into();
        check(&inputs, |tape, inputs| {
            history_attention(tape, &inputs[0], &inputs[1], &ends)
        });
    }

    fn attended(rows: &[Vec<f32>], ends: &[u32]) -> Vec<Vec<f32>> {
        let (qkv, distance) = (Tensor::new(rows.to_vec(), &Device::Cpu), random(&[1, 7], 2));
        let out = history_attention(
            &Tape::off(),
            &qkv.unwrap(),
            &distance,
            &ends.to_vec().into(),
        );
        out.unwrap().to_vec2().unwrap()
    }

    #[test]
    fn an_event_sees_all_of_its_own_history_and_nothing_of_another() {
        let mut rows = random(&[4, 6], 1).to_vec2::<f32>().unwrap();
        let before = attended(&rows, &[2, 4]);
        rows[1] = vec![2.0; 6];
        let after = attended(&rows, &[2, 4]);
        assert_ne!(before[0], after[0]);
        assert_ne!(before[1], after[1]);
        assert_eq!(before[2..], after[2..]);
    }

    #[test]
    fn queries_and_keys_of_a_history_matter() {
        let mut rows = random(&[3, 6], 1).to_vec2::<f32>().unwrap();
        let before = attended(&rows, &[3]);
        rows.iter_mut().for_each(|row| row[..4].fill(0.0));
        assert_ne!(attended(&rows, &[3]), before);
    }
}
