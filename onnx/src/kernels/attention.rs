//! Causal softmax attention inside windows of rows, with a learned bias for each head and distance.
//!
//! A batch is its windows end to end, without padding: a row attends to the rows of its own window up to itself.

mod scores;

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use crate::kernels::attention::scores::{
    add_elapsed, attend, drop_weights, pull_elapsed, unattend,
};
use crate::kernels::dropout::Dropout;
use crate::kernels::heads::Heads;
use crate::kernels::matmul::{Matrix, MatrixMut, multiply};
use crate::kernels::tape::Tape;
use crate::kernels::{read, tensor, values};

/// Attends in each window.
///
/// # Shapes
/// - `qkv`: `[n, 3d]`, in each row the queries, keys and values, each head after head
/// - `distance`: `[heads, length]`, added to the score of a query and a key so far before it
/// - `elapsed`: `[heads, buckets]`, added to the score by the bucket of the time between the two, if `between` is given
/// - `ends`: where each window ends, ascending to `n`; no window longer than `length`
/// - returns: `[n, d]`
pub(crate) fn attention(
    tape: &Tape,
    qkv: &Tensor,
    distance: &Tensor,
    elapsed: Option<(&Tensor, &Arc<[u8]>)>,
    ends: &Arc<[u32]>,
    dropout: Dropout,
) -> Result<Tensor> {
    let op = Attention {
        ends: ends.clone(),
        dropout,
        weights: Mutex::default(),
        between: elapsed.map(|(_, between)| between.clone()),
    };
    match elapsed {
        None => tape.apply2(qkv, distance, op),
        Some((elapsed, _)) => tape.apply3(qkv, distance, elapsed, op),
    }
}

struct Attention {
    ends: Arc<[u32]>,
    dropout: Dropout,
    /// The softmax of every window and head, kept for the backward.
    weights: Mutex<Vec<f32>>,
    /// The bucket of the time between each query and key, window after window, `[rows, rows]` each.
    between: Option<Arc<[u8]>>,
}

impl CustomOp2 for Attention {
    fn name(&self) -> &'static str {
        "attention"
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
        Ok(self.forward(heads, qkv, distance, &[]))
    }

    fn bwd(
        &self,
        qkv: &Tensor,
        distance: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let heads = Heads::new(qkv.shape(), distance.shape())?;
        let mut gradients = Gradients::zeros(qkv, distance, 0);
        read(qkv, |qkv| {
            read(grad, |grad| self.backward(heads, qkv, grad, &mut gradients))
        })??;
        Ok((
            Some(tensor(gradients.qkv, qkv)?),
            Some(tensor(gradients.distance, distance)?),
        ))
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention-in-time"
    }

    fn cpu_fwd(
        &self,
        qkv: &CpuStorage,
        qkv_layout: &Layout,
        distance: &CpuStorage,
        distance_layout: &Layout,
        elapsed: &CpuStorage,
        elapsed_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let heads = Heads::new(qkv_layout.shape(), distance_layout.shape())?;
        let (qkv, distance) = (values(qkv, qkv_layout)?, values(distance, distance_layout)?);
        Ok(self.forward(heads, qkv, distance, values(elapsed, elapsed_layout)?))
    }

    fn bwd(
        &self,
        qkv: &Tensor,
        distance: &Tensor,
        elapsed: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let heads = Heads::new(qkv.shape(), distance.shape())?;
        let mut gradients = Gradients::zeros(qkv, distance, elapsed.elem_count());
        read(qkv, |qkv| {
            read(grad, |grad| self.backward(heads, qkv, grad, &mut gradients))
        })??;
        Ok((
            Some(tensor(gradients.qkv, qkv)?),
            Some(tensor(gradients.distance, distance)?),
            Some(tensor(gradients.elapsed, elapsed)?),
        ))
    }
}

/// Gradients of the three arguments; the last is empty without a bias by time.
struct Gradients {
    qkv: Vec<f32>,
    distance: Vec<f32>,
    elapsed: Vec<f32>,
}

impl Gradients {
    fn zeros(qkv: &Tensor, distance: &Tensor, elapsed: usize) -> Self {
        Self {
            qkv: vec![0.0; qkv.elem_count()],
            distance: vec![0.0; distance.elem_count()],
            elapsed: vec![0.0; elapsed],
        }
    }
}

impl Attention {
    fn forward(
        &self,
        heads: Heads,
        qkv: &[f32],
        distance: &[f32],
        elapsed: &[f32],
    ) -> (CpuStorage, Shape) {
        let rows = qkv.len() / (3 * heads.width);
        let mut out = vec![0.0; rows * heads.width];
        let mut weights = Vec::new();
        let mut dropped = Vec::new();
        for part in heads.parts(&self.ends) {
            let place = heads.weights(part);
            weights.resize(place.end, 0.0);
            let scores = &mut weights[place.clone()];
            let (queries, keys) = (heads.of(qkv, part, 0), heads.of(qkv, part, 1));
            let by_keys = MatrixMut::new(scores, part.rows, part.rows);
            multiply(by_keys, queries, keys.transposed(), heads.scale());
            if let Some(between) = &self.between {
                let elapsed = &elapsed[heads.bias(part, elapsed.len())];
                add_elapsed(scores, part.rows, &between[part.pairs()], elapsed);
            }
            attend(
                scores,
                part.rows,
                &distance[heads.bias(part, distance.len())],
            );
            dropped.clear();
            dropped.extend_from_slice(scores);
            drop_weights(&mut dropped, self.dropout, place.start);
            let by_keys = Matrix::new(&dropped, part.rows, part.rows);
            multiply(
                heads.out_mut(&mut out, part),
                by_keys,
                heads.of(qkv, part, 2),
                1.0,
            );
        }
        *self.weights.lock().unwrap_or_else(PoisonError::into_inner) = weights;
        (CpuStorage::F32(out), (rows, heads.width).into())
    }

    fn backward(&self, heads: Heads, qkv: &[f32], grad: &[f32], gradients: &mut Gradients) {
        let all = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut dropped, mut pull) = (Vec::new(), Vec::new());
        for part in heads.parts(&self.ends) {
            let place = heads.weights(part);
            let weights = &all[place.clone()];
            let grad = heads.out(grad, part);
            dropped.clear();
            dropped.extend_from_slice(weights);
            drop_weights(&mut dropped, self.dropout, place.start);
            let by_keys = Matrix::new(&dropped, part.rows, part.rows);
            let of_values = heads.of_mut(&mut gradients.qkv, part, 2);
            multiply(of_values, by_keys.transposed(), grad, 1.0);
            pull.resize(weights.len(), 0.0);
            let by_keys = MatrixMut::new(&mut pull, part.rows, part.rows);
            multiply(by_keys, grad, heads.of(qkv, part, 2).transposed(), 1.0);
            drop_weights(&mut pull, self.dropout, place.start);
            let row = heads.bias(part, gradients.distance.len());
            unattend(&mut pull, weights, part.rows, &mut gradients.distance[row]);
            if let Some(between) = &self.between {
                let row = heads.bias(part, gradients.elapsed.len());
                let by_bucket = &mut gradients.elapsed[row];
                pull_elapsed(&pull, part.rows, &between[part.pairs()], by_bucket);
            }
            let pull = Matrix::new(&pull, part.rows, part.rows);
            let of_queries = heads.of_mut(&mut gradients.qkv, part, 0);
            multiply(of_queries, pull, heads.of(qkv, part, 1), heads.scale());
            let of_keys = heads.of_mut(&mut gradients.qkv, part, 1);
            multiply(
                of_keys,
                pull.transposed(),
                heads.of(qkv, part, 0),
                heads.scale(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::kernels::gradient::{check, random};

    #[test]
    fn the_backward_agrees_with_differences() {
        let inputs = [random(&[9, 12], 1), random(&[2, 5], 2)];
        let ends: Arc<[u32]> = vec![1, 6, 9].into();
        for dropout in [Dropout::NONE, Dropout::new(0.3, 3)] {
            check(&inputs, |tape, inputs| {
                attention(tape, &inputs[0], &inputs[1], None, &ends, dropout)
            });
        }
    }

    #[test]
    fn the_backward_of_a_bias_by_time_agrees_with_differences() {
        let inputs = [random(&[5, 12], 1), random(&[2, 3], 2), random(&[2, 4], 3)];
        let ends: Arc<[u32]> = vec![2, 5].into();
        let between: Arc<[u8]> = vec![0, 9, 3, 0, 0, 9, 9, 1, 0, 9, 3, 2, 1].into();
        check(&inputs, |tape, inputs| {
            let elapsed = Some((inputs[2].as_tensor(), &between));
            attention(tape, &inputs[0], &inputs[1], elapsed, &ends, Dropout::NONE)
        });
    }

    #[test]
    fn a_row_sees_neither_the_future_nor_another_window() {
        let distance = random(&[1, 4], 2);
        let ends: Arc<[u32]> = vec![2, 4].into();
        let qkv = random(&[4, 6], 1);
        let first = |qkv: &Tensor| {
            let out = attention(&Tape::off(), qkv, &distance, None, &ends, Dropout::NONE).unwrap();
            out.to_vec2::<f32>().unwrap()
        };
        let before = first(&qkv);
        let mut rows = qkv.to_vec2::<f32>().unwrap();
        rows[1] = vec![5.0; 6];
        let after = first(&Tensor::new(rows, qkv.device()).unwrap());
        assert_eq!(before[0], after[0]);
        assert_ne!(before[1], after[1]);
        assert_eq!(before[2..], after[2..]);
    }
}
