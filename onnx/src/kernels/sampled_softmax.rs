//! Softmax cross-entropy of one positive against a few negatives, over a table that holds only the rows of this batch.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::kernels::simd::{dot, softmax, vectorized};
use crate::kernels::tape::Tape;
use crate::kernels::{read, tensor, values};

/// The sum over rows of `-ln softmax(h . table[candidates])[0]`, times `scale`; a scalar.
///
/// # Shapes
/// - `h`: `[n, d]`; `table`: `[rows, d]`
/// - `candidates`: `n` times the positive's row of the table and after it those of the negatives
pub(crate) fn sampled_softmax(
    tape: &Tape,
    h: &Tensor,
    table: &Tensor,
    candidates: Arc<[u32]>,
    scale: f32,
) -> Result<Tensor> {
    tape.apply2(h, table, SampledSoftmax { candidates, scale })
}

struct SampledSoftmax {
    candidates: Arc<[u32]>,
    scale: f32,
}

impl CustomOp2 for SampledSoftmax {
    fn name(&self) -> &'static str {
        "sampled-softmax"
    }

    fn cpu_fwd(
        &self,
        h: &CpuStorage,
        h_layout: &Layout,
        table: &CpuStorage,
        table_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = h_layout.shape().dims2()?;
        let loss = forward(
            values(h, h_layout)?,
            values(table, table_layout)?,
            &self.candidates,
            rows,
            width,
        );
        Ok((CpuStorage::F32(vec![loss * self.scale]), Shape::from(())))
    }

    fn bwd(
        &self,
        h: &Tensor,
        table: &Tensor,
        _loss: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (rows, width) = h.dims2()?;
        let scale = self.scale * grad.to_scalar::<f32>()?;
        let mut grad_h = vec![0.0; h.elem_count()];
        let mut grad_table = vec![0.0; table.elem_count()];
        read(h, |h| {
            read(table, |table| {
                backward(
                    h,
                    table,
                    &self.candidates,
                    rows,
                    width,
                    scale,
                    &mut grad_h,
                    &mut grad_table,
                );
            })
        })??;
        Ok((Some(tensor(grad_h, h)?), Some(tensor(grad_table, table)?)))
    }
}

/// Fills `logits` with the scores of a row's candidates.
#[inline(always)]
fn score(h: &[f32], table: &[f32], candidates: &[u32], logits: &mut [f32]) {
    for (logit, &candidate) in logits.iter_mut().zip(candidates) {
        *logit = dot(h, &table[candidate as usize * h.len()..][..h.len()]);
    }
}

vectorized! {
    fn forward(h: &[f32], table: &[f32], candidates: &[u32], rows: usize, width: usize) -> f32 {
        let mut logits = vec![0.0_f32; candidates.len() / rows];
        let mut loss = 0.0;
        for (h, candidates) in h.chunks_exact(width).zip(candidates.chunks_exact(logits.len())) {
            score(h, table, candidates, &mut logits);
            let positive = logits[0];
            loss += softmax(&mut logits) - positive;
        }
        loss
    }
}

vectorized! {
    fn backward(
        h: &[f32],
        table: &[f32],
        candidates: &[u32],
        rows: usize,
        width: usize,
        scale: f32,
        grad_h: &mut [f32],
        grad_table: &mut [f32],
    ) {
        let mut logits = vec![0.0_f32; candidates.len() / rows];
        let rows = h.chunks_exact(width).zip(grad_h.chunks_exact_mut(width));
        for ((h, grad_h), candidates) in rows.zip(candidates.chunks_exact(logits.len())) {
            score(h, table, candidates, &mut logits);
            softmax(&mut logits);
            logits[0] -= 1.0;
            for (pull, &candidate) in logits.iter().zip(candidates) {
                let pull = pull * scale;
                let row = &table[candidate as usize * width..][..width];
                let grad_row = &mut grad_table[candidate as usize * width..][..width];
                for at in 0..width {
                    grad_h[at] += pull * row[at];
                    grad_row[at] += pull * h[at];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gradient::{check, random};

    #[test]
    fn the_backward_agrees_with_differences() {
        let inputs = [random(&[2, 19], 1), random(&[6, 19], 2)];
        let candidates: Arc<[u32]> = vec![1, 2, 5, 4, 1, 2].into();
        check(&inputs, |tape, inputs| {
            sampled_softmax(tape, &inputs[0], &inputs[1], candidates.clone(), 0.5)
        });
    }
}
