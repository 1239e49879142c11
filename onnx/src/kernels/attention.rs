//! Causal softmax attention inside windows of rows, with a learned bias for each head and distance.
//!
//! A batch is its windows end to end, without padding: a row attends to the rows of its own window up to itself.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use crate::kernels::dropout::Dropout;
use crate::kernels::matmul::{Matrix, MatrixMut, multiply};
use crate::kernels::simd::{dot, softmax, vectorized};
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

/// One head of one window: where its rows, its weights and the buckets between its rows begin.
#[derive(Clone, Copy)]
struct Part {
    row: usize,
    rows: usize,
    head: usize,
    weights: usize,
    between: usize,
}

/// The shape of one head.
#[derive(Clone, Copy)]
struct Head {
    width: usize,
    heads: usize,
    size: usize,
    length: usize,
}

impl Head {
    fn new(qkv: &Shape, distance: &Shape) -> Result<Self> {
        let width = qkv.dims2()?.1 / 3;
        let (heads, length) = distance.dims2()?;
        Ok(Self {
            width,
            heads,
            size: width / heads,
            length,
        })
    }

    fn scale(self) -> f32 {
        1.0 / (self.size as f32).sqrt()
    }

    /// The `kind`th of queries, keys, values of a part.
    fn of<'a>(self, qkv: &'a [f32], part: Part, kind: usize) -> Matrix<'a> {
        let start = part.row * 3 * self.width + kind * self.width + part.head * self.size;
        Matrix::strided(&qkv[start..], part.rows, self.size, 3 * self.width)
    }

    fn of_mut<'a>(self, qkv: &'a mut [f32], part: Part, kind: usize) -> MatrixMut<'a> {
        let start = part.row * 3 * self.width + kind * self.width + part.head * self.size;
        MatrixMut::strided(&mut qkv[start..], part.rows, self.size, 3 * self.width)
    }
}

impl Attention {
    fn parts(&self, heads: usize) -> impl Iterator<Item = Part> {
        let (mut weights, mut start, mut between) = (0, 0, 0);
        self.ends.iter().flat_map(move |&end| {
            let (row, rows) = (start, end as usize - start);
            let first = (weights, between);
            start = end as usize;
            weights += heads * rows * rows;
            between += rows * rows;
            (0..heads).map(move |head| Part {
                row,
                rows,
                head,
                weights: first.0 + head * rows * rows,
                between: first.1,
            })
        })
    }
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
        let head = Head::new(qkv_layout.shape(), distance_layout.shape())?;
        let (qkv, distance) = (values(qkv, qkv_layout)?, values(distance, distance_layout)?);
        Ok(self.forward(head, qkv, distance, &[]))
    }

    fn bwd(
        &self,
        qkv: &Tensor,
        distance: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let head = Head::new(qkv.shape(), distance.shape())?;
        let mut gradients = Gradients::zeros(qkv, distance, 0);
        read(qkv, |qkv| {
            read(grad, |grad| self.backward(head, qkv, grad, &mut gradients))
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
        let head = Head::new(qkv_layout.shape(), distance_layout.shape())?;
        let (qkv, distance) = (values(qkv, qkv_layout)?, values(distance, distance_layout)?);
        Ok(self.forward(head, qkv, distance, values(elapsed, elapsed_layout)?))
    }

    fn bwd(
        &self,
        qkv: &Tensor,
        distance: &Tensor,
        elapsed: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let head = Head::new(qkv.shape(), distance.shape())?;
        let mut gradients = Gradients::zeros(qkv, distance, elapsed.elem_count());
        read(qkv, |qkv| {
            read(grad, |grad| self.backward(head, qkv, grad, &mut gradients))
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
    /// The buckets between the rows of a part, and the row of `elapsed` for its head; both empty without a bias by time.
    fn times<'a>(&'a self, part: Part, head: Head, elapsed: &'a [f32]) -> (&'a [u8], &'a [f32]) {
        let Some(between) = &self.between else {
            return (&[], &[]);
        };
        let buckets = elapsed.len() / head.heads;
        (
            &between[part.between..][..part.rows * part.rows],
            &elapsed[part.head * buckets..][..buckets],
        )
    }

    fn forward(
        &self,
        head: Head,
        qkv: &[f32],
        distance: &[f32],
        elapsed: &[f32],
    ) -> (CpuStorage, Shape) {
        let rows = qkv.len() / (3 * head.width);
        let mut out = vec![0.0; rows * head.width];
        let mut weights = Vec::new();
        let mut dropped = Vec::new();
        for part in self.parts(head.heads) {
            let square = part.rows * part.rows;
            weights.resize(part.weights + square, 0.0);
            let scores = &mut weights[part.weights..];
            let queries_by_keys = MatrixMut::new(scores, part.rows, part.rows);
            multiply(
                queries_by_keys,
                head.of(qkv, part, 0),
                head.of(qkv, part, 1).transposed(),
                head.scale(),
            );
            let (between, elapsed) = self.times(part, head, elapsed);
            if !between.is_empty() {
                add_elapsed(scores, part.rows, between, elapsed);
            }
            attend(
                scores,
                part.rows,
                &distance[part.head * head.length..][..head.length],
            );
            dropped.clear();
            dropped.extend_from_slice(scores);
            drop_weights(&mut dropped, self.dropout, part.weights);
            let start = part.row * head.width + part.head * head.size;
            multiply(
                MatrixMut::strided(&mut out[start..], part.rows, head.size, head.width),
                Matrix::new(&dropped, part.rows, part.rows),
                head.of(qkv, part, 2),
                1.0,
            );
        }
        *self.weights.lock().unwrap_or_else(PoisonError::into_inner) = weights;
        (CpuStorage::F32(out), (rows, head.width).into())
    }

    fn backward(&self, head: Head, qkv: &[f32], grad: &[f32], gradients: &mut Gradients) {
        let weights = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut dropped, mut pull) = (Vec::new(), Vec::new());
        let buckets = gradients.elapsed.len() / head.heads;
        for part in self.parts(head.heads) {
            let square = part.rows * part.rows;
            let weights = &weights[part.weights..][..square];
            let start = part.row * head.width + part.head * head.size;
            let grad = Matrix::strided(&grad[start..], part.rows, head.size, head.width);
            dropped.clear();
            dropped.extend_from_slice(weights);
            drop_weights(&mut dropped, self.dropout, part.weights);
            let by_keys = Matrix::new(&dropped, part.rows, part.rows);
            multiply(
                head.of_mut(&mut gradients.qkv, part, 2),
                by_keys.transposed(),
                grad,
                1.0,
            );
            pull.resize(square, 0.0);
            multiply(
                MatrixMut::new(&mut pull, part.rows, part.rows),
                grad,
                head.of(qkv, part, 2).transposed(),
                1.0,
            );
            drop_weights(&mut pull, self.dropout, part.weights);
            let by_distance = &mut gradients.distance[part.head * head.length..][..head.length];
            unattend(&mut pull, weights, part.rows, by_distance);
            if let Some(between) = &self.between {
                let between = &between[part.between..][..square];
                let by_bucket = &mut gradients.elapsed[part.head * buckets..][..buckets];
                pull_elapsed(&pull, part.rows, between, by_bucket);
            }
            let pull = Matrix::new(&pull, part.rows, part.rows);
            multiply(
                head.of_mut(&mut gradients.qkv, part, 0),
                pull,
                head.of(qkv, part, 1),
                head.scale(),
            );
            let pull = pull.transposed();
            multiply(
                head.of_mut(&mut gradients.qkv, part, 1),
                pull,
                head.of(qkv, part, 0),
                head.scale(),
            );
        }
    }
}

vectorized! {
    /// Adds the bias of each pair's bucket to the scores up to the query.
    fn add_elapsed(scores: &mut [f32], rows: usize, between: &[u8], elapsed: &[f32]) {
        let pairs = scores.chunks_exact_mut(rows).zip(between.chunks_exact(rows));
        for (query, (scores, between)) in pairs.enumerate() {
            for (score, &bucket) in scores[..=query].iter_mut().zip(between) {
                *score += elapsed[usize::from(bucket)];
            }
        }
    }
}

/// Adds up the gradients of scores by bucket.
fn pull_elapsed(pull: &[f32], rows: usize, between: &[u8], by_bucket: &mut [f32]) {
    let pairs = pull.chunks_exact(rows).zip(between.chunks_exact(rows));
    for (query, (pull, between)) in pairs.enumerate() {
        for (pull, &bucket) in pull[..=query].iter().zip(between) {
            by_bucket[usize::from(bucket)] += pull;
        }
    }
}

vectorized! {
    /// Scores to weights: adds the bias, softmax over the keys up to the query, 0 after it.
    fn attend(scores: &mut [f32], rows: usize, distance: &[f32]) {
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
    fn unattend(pull: &mut [f32], weights: &[f32], rows: usize, grad_distance: &mut [f32]) {
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
    fn drop_weights(weights: &mut [f32], dropout: Dropout, start: usize) {
        for (index, weight) in weights.iter_mut().enumerate() {
            *weight *= dropout.factor((start + index) as u32);
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
