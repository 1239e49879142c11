//! Softmax cross-entropy of each row's positive against negatives that all rows share, as one matrix product.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::kernels::kept::Kept;
use crate::kernels::matmul::{Matrix, MatrixMut};
use crate::kernels::products::Products;
use crate::kernels::simd::{dot, max, softmax, vectorized};
use crate::kernels::tape::Tape;
use crate::kernels::values;

/// Rows whose logits are held at once.
const CHUNK: usize = 64;

/// What each row is scored against.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    /// For each row the positive, a row of the table.
    pub(crate) positives: Vec<u32>,
    /// Rows of the table, the same for all.
    pub(crate) negatives: Vec<u32>,
    /// Places among the negatives that are left out; of row `i` those at `ends[i - 1]..ends[i]`.
    pub(crate) left_out: Vec<u32>,
    /// Ascending to the number of places.
    pub(crate) ends: Vec<u32>,
}

/// The sum over rows of `-ln softmax(h . table[positive, negatives])[0]`, times `scale`; a scalar.
///
/// # Shapes
/// - `h`: `[n, d]`; `table`: `[rows, d]`
pub(crate) fn shared_softmax(
    tape: &Tape,
    h: &Tensor,
    table: &Tensor,
    shared: Arc<Shared>,
    scale: f32,
) -> Result<Tensor> {
    let op = SharedSoftmax {
        products: tape.products(),
        shared,
        scale,
        gradients: Kept::default(),
    };
    tape.apply2(h, table, op)
}

struct SharedSoftmax {
    products: Products,
    shared: Arc<Shared>,
    scale: f32,
    /// Those of `h` and of the table.
    gradients: Kept,
}

impl CustomOp2 for SharedSoftmax {
    fn name(&self) -> &'static str {
        "shared-softmax"
    }

    fn cpu_fwd(
        &self,
        h: &CpuStorage,
        h_layout: &Layout,
        table: &CpuStorage,
        table_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (h, table) = (values(h, h_layout)?, values(table, table_layout)?);
        let (_, width) = table_layout.shape().dims2()?;
        let row = |id: u32| id as usize * width..(id as usize + 1) * width;
        let negatives = &self.shared.negatives;
        let count = negatives.len();
        let classes: Vec<f32> = negatives
            .iter()
            .flat_map(|&id| &table[row(id)])
            .copied()
            .collect();
        let classes = Matrix::new(&classes, count, width);
        let (mut grad_h, mut grad_table) = (vec![0.0; h.len()], vec![0.0; table.len()]);
        let mut grad_classes = vec![0.0; count * width];
        let mut logits = vec![0.0; CHUNK * count];
        let (mut loss, mut at) = (0.0, 0);
        for (h, grad_h) in h
            .chunks(CHUNK * width)
            .zip(grad_h.chunks_mut(CHUNK * width))
        {
            let rows = h.len() / width;
            let logits = &mut logits[..rows * count];
            let by_classes = MatrixMut::new(logits, rows, count);
            self.products.multiply(
                by_classes,
                Matrix::new(h, rows, width),
                classes.transposed(),
                1.0,
            );
            let mut of_positives = Vec::with_capacity(rows);
            for (h, logits) in h.chunks_exact(width).zip(logits.chunks_exact_mut(count)) {
                let (row_loss, pull) = self.row(at, h, table, logits);
                loss += row_loss;
                of_positives.push((row(self.shared.positives[at]), pull));
                at += 1;
            }
            let pulls = Matrix::new(logits, rows, count);
            self.products
                .multiply(MatrixMut::new(grad_h, rows, width), pulls, classes, 1.0);
            let sums = MatrixMut::new(&mut grad_classes, count, width);
            self.products
                .add_product(sums, pulls.transposed(), Matrix::new(h, rows, width));
            let rows = h.chunks_exact(width).zip(grad_h.chunks_exact_mut(width));
            for ((h, grad_h), (positive, pull)) in rows.zip(of_positives) {
                add_scaled(grad_h, &table[positive.clone()], pull);
                add_scaled(&mut grad_table[positive], h, pull);
            }
        }
        for (&id, grad) in negatives.iter().zip(grad_classes.chunks_exact(width)) {
            add_scaled(&mut grad_table[row(id)], grad, 1.0);
        }
        self.gradients.put(grad_h, grad_table);
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        h: &Tensor,
        table: &Tensor,
        _loss: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.gradients.take(h, table, grad)
    }
}

impl SharedSoftmax {
    /// Turns a row's logits of the negatives into their gradients; returns its share of the loss and the gradient of the
    /// positive's logit.
    fn row(&self, row: usize, h: &[f32], table: &[f32], logits: &mut [f32]) -> (f64, f32) {
        let Shared {
            positives,
            left_out,
            ends,
            ..
        } = &*self.shared;
        let start = if row == 0 { 0 } else { ends[row - 1] };
        for &place in &left_out[start as usize..ends[row] as usize] {
            logits[place as usize] = f32::NEG_INFINITY;
        }
        let positive = score(h, &table[positives[row] as usize * h.len()..][..h.len()]);
        let (normalizer, pull) = pulls(logits, positive, self.scale);
        (
            f64::from(self.scale) * f64::from(normalizer - positive),
            pull,
        )
    }
}

vectorized! {
    fn score(h: &[f32], row: &[f32]) -> f32 {
        dot(h, row)
    }
}

vectorized! {
    /// Softmax of the negatives beside the positive, times `scale`; returns the logarithm of the normalizer and the gradient
    /// of the positive's logit.
    fn pulls(logits: &mut [f32], positive: f32, scale: f32) -> (f32, f32) {
        let highest = max(logits);
        if highest == f32::NEG_INFINITY {
            logits.fill(0.0);
            return (positive, 0.0);
        }
        let of_negatives = softmax(logits);
        let gap = positive - of_negatives;
        // The normalizer is the logarithm of e^positive + e^of_negatives; the share of the negatives is a logistic.
        let normalizer = positive.max(of_negatives) + (-gap.abs()).exp().ln_1p();
        let share = (of_negatives - normalizer).exp();
        for x in logits.iter_mut() {
            *x *= share * scale;
        }
        (normalizer, -share * scale)
    }
}

vectorized! {
    fn add_scaled(sum: &mut [f32], x: &[f32], factor: f32) {
        for (sum, x) in sum.iter_mut().zip(x) {
            *sum += factor * x;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::kernels::gradient::{check, random};
    use crate::kernels::sampled_softmax::sampled_softmax;

    fn shared(rows: usize, left_out: Vec<u32>, ends: Vec<u32>) -> Arc<Shared> {
        Arc::new(Shared {
            positives: (0..rows as u32).map(|row| row % 3).collect(),
            negatives: vec![5, 2, 4],
            left_out,
            ends,
        })
    }

    #[test]
    fn the_backward_agrees_with_differences() {
        let inputs = [random(&[3, 19], 1), random(&[6, 19], 2)];
        check(&inputs, |tape, inputs| {
            let shared = shared(3, vec![1, 2, 0], vec![2, 2, 3]);
            shared_softmax(tape, &inputs[0], &inputs[1], shared, 0.5)
        });
    }

    #[test]
    fn without_left_out_ones_it_is_the_sampled_softmax_also_over_chunks() {
        let (h, table) = (random(&[150, 8], 1), random(&[6, 8], 2));
        let ours = shared(150, vec![], vec![0; 150]);
        let candidates = ours
            .positives
            .iter()
            .flat_map(|&positive| [positive, 5, 2, 4])
            .collect();
        let run = |tape: Tape, loss: Tensor| {
            let value = loss.to_scalar::<f32>().unwrap();
            let one = Tensor::new(1.0_f32, h.device()).unwrap();
            let gradients = tape.backward(&loss, one).unwrap();
            let of = |input: &Tensor| gradients[&input.id()].to_vec2::<f32>().unwrap().concat();
            (value, of(&h), of(&table))
        };
        let tape = Tape::recording();
        let loss = shared_softmax(&tape, &h, &table, ours, 0.1).unwrap();
        let found = run(tape, loss);
        let tape = Tape::recording();
        let loss = sampled_softmax(&tape, &h, &table, candidates, 0.1).unwrap();
        let expected = run(tape, loss);
        assert!((found.0 / expected.0 - 1.0).abs() < 1e-5);
        for (found, expected) in [(found.1, expected.1), (found.2, expected.2)] {
            let apart = found
                .iter()
                .zip(&expected)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(apart < 1e-5, "{apart}");
        }
    }

    #[test]
    fn a_row_whose_negatives_are_all_left_out_loses_nothing() {
        let (h, table) = (random(&[1, 4], 1), random(&[6, 4], 2));
        let shared = shared(1, vec![0, 1, 2], vec![3]);
        let loss = shared_softmax(&Tape::off(), &h, &table, shared, 1.0).unwrap();
        assert_eq!(loss.to_scalar::<f32>().unwrap(), 0.0);
    }
}
