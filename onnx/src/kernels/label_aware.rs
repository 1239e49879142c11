//! Label-aware attention: mixes a user's interests by how well each fits the target, for training alone.
//!
//! MIND (Li et al., CIKM 2019, section 4.5), of one user with interests `v_k` and the target's vector `e`:
//! ```text
//! s_k = v_k . e      a = softmax over the user's interests of sign(s_k) |s_k|^p      u = sum_k a_k v_k
//! ```
//! A power of 1 is plain attention, a large one leaves the best interest alone.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::kernels::simd::{dot, softmax, vectorized};
use crate::kernels::tape::Tape;
use crate::kernels::{read, tensor, values};

/// One vector a user out of its interests.
///
/// # Shapes
/// - `h`: `[users * interests, d]`; `table`: `[rows, d]`
/// - `targets`: a row of the table for each user; `active`: how many of its interests each user has
/// - `power`: at least 1
/// - returns: `[users, d]`
pub(crate) fn label_aware(
    tape: &Tape,
    h: &Tensor,
    table: &Tensor,
    targets: impl Into<Arc<[u32]>>,
    active: Arc<[u32]>,
    power: f32,
) -> Result<Tensor> {
    let targets = targets.into();
    tape.apply2(
        h,
        table,
        LabelAware {
            targets,
            active,
            power,
        },
    )
}

struct LabelAware {
    targets: Arc<[u32]>,
    active: Arc<[u32]>,
    power: f32,
}

impl CustomOp2 for LabelAware {
    fn name(&self) -> &'static str {
        "label-aware"
    }

    fn cpu_fwd(
        &self,
        h: &CpuStorage,
        h_layout: &Layout,
        table: &CpuStorage,
        table_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = h_layout.shape().dims2()?;
        let mut out = vec![0.0; self.targets.len() * width];
        forward(
            values(h, h_layout)?,
            values(table, table_layout)?,
            &self.targets,
            &self.active,
            self.power,
            width,
            &mut out,
        );
        Ok((CpuStorage::F32(out), (self.targets.len(), width).into()))
    }

    fn bwd(
        &self,
        h: &Tensor,
        table: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let width = h.dim(1)?;
        let mut grad_h = vec![0.0; h.elem_count()];
        let mut grad_table = vec![0.0; table.elem_count()];
        read(h, |h| {
            read(table, |table| {
                read(grad, |grad| {
                    backward(
                        h,
                        table,
                        &self.targets,
                        &self.active,
                        self.power,
                        width,
                        grad,
                        &mut grad_h,
                        &mut grad_table,
                    );
                })
            })
        })???;
        Ok((Some(tensor(grad_h, h)?), Some(tensor(grad_table, table)?)))
    }
}

/// The scores of a user's interests, and what attention makes of them.
#[inline(always)]
fn attend(h: &[f32], target: &[f32], power: f32, scores: &mut [f32], weights: &mut [f32]) {
    let rows = h.chunks_exact(target.len());
    for ((score, weight), row) in scores.iter_mut().zip(weights.iter_mut()).zip(rows) {
        *score = dot(row, target);
        *weight = score.signum() * score.abs().powf(power);
    }
    softmax(weights);
}

vectorized! {
    fn forward(
        h: &[f32],
        table: &[f32],
        targets: &[u32],
        active: &[u32],
        power: f32,
        width: usize,
        out: &mut [f32],
    ) {
        let size = h.len() / targets.len();
        let (mut scores, mut weights) = (vec![0.0; size / width], vec![0.0; size / width]);
        let users = h.chunks_exact(size).zip(targets).zip(active).zip(out.chunks_exact_mut(width));
        for (((h, &target), &active), out) in users {
            let target = &table[target as usize * width..][..width];
            let weights = &mut weights[..active as usize];
            attend(h, target, power, &mut scores, weights);
            for (weight, row) in weights.iter().zip(h.chunks_exact(width)) {
                for (out, x) in out.iter_mut().zip(row) {
                    *out += weight * x;
                }
            }
        }
    }
}

vectorized! {
    fn backward(
        h: &[f32],
        table: &[f32],
        targets: &[u32],
        active: &[u32],
        power: f32,
        width: usize,
        grad: &[f32],
        grad_h: &mut [f32],
        grad_table: &mut [f32],
    ) {
        let size = h.len() / targets.len();
        let (mut scores, mut weights) = (vec![0.0; size / width], vec![0.0; size / width]);
        let users = h.chunks_exact(size).zip(grad_h.chunks_exact_mut(size));
        let users = users.zip(targets).zip(active).zip(grad.chunks_exact(width));
        for ((((h, grad_h), &target), &active), grad) in users {
            let row = &table[target as usize * width..][..width];
            let grad_row = &mut grad_table[target as usize * width..][..width];
            let weights = &mut weights[..active as usize];
            attend(h, row, power, &mut scores, weights);
            let mean = weights.iter().zip(h.chunks_exact(width)).map(|(w, h)| w * dot(h, grad)).sum::<f32>();
            let interests = h.chunks_exact(width).zip(grad_h.chunks_exact_mut(width));
            for ((weight, score), (h, grad_h)) in weights.iter().zip(&scores).zip(interests) {
                let of_power = weight * (dot(h, grad) - mean);
                let of_score = of_power * power * score.abs().powf(power - 1.0);
                for at in 0..width {
                    grad_h[at] += weight * grad[at] + of_score * row[at];
                    grad_row[at] += of_score * h[at];
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

    fn mixed(h: &Tensor, table: &Tensor, active: u32, power: f32) -> Vec<f32> {
        let out = label_aware(&Tape::off(), h, table, [1], [active].into(), power).unwrap();
        out.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn the_backward_agrees_with_differences() {
        let inputs = [random(&[6, 5], 1), random(&[4, 5], 2)];
        for power in [1.0, 2.0, 2.5] {
            check(&inputs, |tape, inputs| {
                let active = [3, 2].into();
                label_aware(tape, &inputs[0], &inputs[1], [3, 1], active, power)
            });
        }
    }

    #[test]
    fn a_user_is_a_weighted_mean_of_its_interests_and_not_their_sum() {
        let table = random(&[2, 4], 2);
        let row: Vec<f32> = random(&[4], 1).to_vec1().unwrap();
        let alike = Tensor::from_vec(row.repeat(3), (3, 4), table.device()).unwrap();
        for (found, expected) in mixed(&alike, &table, 3, 1.0).iter().zip(&row) {
            assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
        }
    }

    #[test]
    fn a_large_power_leaves_the_interest_that_fits_the_target() {
        let h = Tensor::new(
            &[[1.0_f32, 0.0], [3.0, 1.0], [0.0, 9.0]],
            &candle_core::Device::Cpu,
        );
        let table = Tensor::new(&[[0.0_f32, 0.0], [1.0, 0.0]], &candle_core::Device::Cpu).unwrap();
        let h = h.unwrap();
        let sharp = mixed(&h, &table, 3, 8.0);
        assert!(
            (sharp[0] - 3.0).abs() < 1e-4 && (sharp[1] - 1.0).abs() < 1e-4,
            "{sharp:?}"
        );
        assert_ne!(mixed(&h, &table, 3, 1.0), sharp);
    }

    #[test]
    fn interests_that_a_user_does_not_have_are_left_out() {
        let (h, table) = (random(&[3, 4], 1), random(&[2, 4], 2));
        let first: Vec<f32> = h.to_vec2().unwrap()[0].clone();
        assert_eq!(mixed(&h, &table, 1, 1.0), first);
    }
}
