//! Softmax cross-entropy of one positive against a few negatives, of users with several interests: the best one scores.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::kernels::simd::{dot, softmax, vectorized};
use crate::kernels::tape::Tape;
use crate::kernels::{read, tensor, values};

/// The sum over users of `-ln softmax(max over interests of h . table[candidates])[0]`, times `scale`; a scalar.
///
/// # Shapes
/// - `h`: `[users * interests, d]`; `active`: how many of its interests each user has; `table`: `[rows, d]`
/// - `candidates`: for each user the positive's row of the table and after it those of the negatives
pub(crate) fn best_sampled_softmax(
    tape: &Tape,
    h: &Tensor,
    table: &Tensor,
    candidates: Arc<[u32]>,
    active: Arc<[u32]>,
    scale: f32,
) -> Result<Tensor> {
    let op = BestSampledSoftmax {
        candidates,
        active,
        scale,
    };
    tape.apply2(h, table, op)
}

struct BestSampledSoftmax {
    candidates: Arc<[u32]>,
    active: Arc<[u32]>,
    scale: f32,
}

impl CustomOp2 for BestSampledSoftmax {
    fn name(&self) -> &'static str {
        "best-sampled-softmax"
    }

    fn cpu_fwd(
        &self,
        h: &CpuStorage,
        h_layout: &Layout,
        table: &CpuStorage,
        table_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = h_layout.shape().dims2()?;
        let loss = forward(
            values(h, h_layout)?,
            values(table, table_layout)?,
            &self.candidates,
            &self.active,
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
        let scale = self.scale * grad.to_scalar::<f32>()?;
        let width = h.dim(1)?;
        let mut grad_h = vec![0.0; h.elem_count()];
        let mut grad_table = vec![0.0; table.elem_count()];
        read(h, |h| {
            read(table, |table| {
                backward(
                    h,
                    table,
                    &self.candidates,
                    &self.active,
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

/// Fills in each candidate's best score over a user's interests, and whose it is.
#[inline(always)]
fn score(
    h: &[f32],
    table: &[f32],
    candidates: &[u32],
    width: usize,
    logits: &mut [f32],
    winners: &mut [usize],
) {
    for ((logit, winner), &candidate) in logits.iter_mut().zip(winners).zip(candidates) {
        let row = &table[candidate as usize * width..][..width];
        (*logit, *winner) = (f32::NEG_INFINITY, 0);
        for (interest, h) in h.chunks_exact(width).enumerate() {
            let found = dot(h, row);
            if found > *logit {
                (*logit, *winner) = (found, interest);
            }
        }
    }
}

vectorized! {
    fn forward(h: &[f32], table: &[f32], candidates: &[u32], active: &[u32], width: usize) -> f32 {
        let each = candidates.len() / active.len();
        let (mut logits, mut winners) = (vec![0.0_f32; each], vec![0; each]);
        let mut loss = 0.0;
        let users = h.chunks_exact(h.len() / active.len()).zip(candidates.chunks_exact(each));
        for ((h, candidates), &active) in users.zip(active) {
            score(&h[..active as usize * width], table, candidates, width, &mut logits, &mut winners);
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
        active: &[u32],
        width: usize,
        scale: f32,
        grad_h: &mut [f32],
        grad_table: &mut [f32],
    ) {
        let each = candidates.len() / active.len();
        let (mut logits, mut winners) = (vec![0.0_f32; each], vec![0; each]);
        let size = h.len() / active.len();
        let users = h.chunks_exact(size).zip(grad_h.chunks_exact_mut(size));
        for (((h, grad_h), candidates), &active) in users.zip(candidates.chunks_exact(each)).zip(active) {
            score(&h[..active as usize * width], table, candidates, width, &mut logits, &mut winners);
            softmax(&mut logits);
            logits[0] -= 1.0;
            for ((pull, winner), &candidate) in logits.iter().zip(&winners).zip(candidates) {
                let pull = pull * scale;
                let row = &table[candidate as usize * width..][..width];
                let grad_row = &mut grad_table[candidate as usize * width..][..width];
                let (h, grad_h) = (&h[winner * width..][..width], &mut grad_h[winner * width..][..width]);
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
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::kernels::gradient::{check, random};
    use crate::kernels::sampled_softmax::sampled_softmax;

    #[test]
    fn the_backward_agrees_with_differences() {
        let inputs = [random(&[6, 19], 1), random(&[6, 19], 2)];
        let candidates: Arc<[u32]> = vec![1, 2, 5, 4, 1, 2].into();
        for active in [[3, 3], [1, 2]] {
            check(&inputs, |tape, inputs| {
                let candidates = candidates.clone();
                best_sampled_softmax(tape, &inputs[0], &inputs[1], candidates, active.into(), 0.5)
            });
        }
    }

    #[test]
    fn with_one_interest_it_is_the_plain_softmax() {
        let (h, table) = (random(&[2, 19], 1), random(&[6, 19], 2));
        let candidates: Arc<[u32]> = vec![1, 2, 5, 4, 1, 2].into();
        let (tape, active) = (Tape::off(), vec![1, 1].into());
        let ours = best_sampled_softmax(&tape, &h, &table, candidates.clone(), active, 0.5);
        let plain = sampled_softmax(&tape, &h, &table, candidates, 0.5).unwrap();
        let loss = |loss: &Tensor| loss.to_scalar::<f32>().unwrap();
        assert!((loss(&ours.unwrap()) - loss(&plain)).abs() < 1e-6);
    }
}
