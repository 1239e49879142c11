//! Adds one row a user to each of the user's interests.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::kernels::simd::vectorized;
use crate::kernels::tape::Tape;
use crate::kernels::{read, tensor, values};

/// Adds row `u` of `base` `[users, d]` to the rows `u K .. (u + 1) K` of `x` `[users * K, d]`.
pub(crate) fn add_tiled(tape: &Tape, base: &Tensor, x: &Tensor) -> Result<Tensor> {
    tape.apply2(base, x, AddTiled)
}

struct AddTiled;

impl CustomOp2 for AddTiled {
    fn name(&self) -> &'static str {
        "add-tiled"
    }

    fn cpu_fwd(
        &self,
        base: &CpuStorage,
        base_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (users, width) = base_layout.shape().dims2()?;
        let base = values(base, base_layout)?;
        let mut out = values(x, x_layout)?.to_vec();
        let size = out.len() / users;
        spread(base, size, width, &mut out);
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        base: &Tensor,
        _x: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (users, width) = base.dims2()?;
        let mut out = vec![0.0; users * width];
        let size = grad.elem_count() / users;
        read(grad, |grad| collect(grad, size, width, &mut out))?;
        Ok((Some(tensor(out, base)?), Some(grad.clone())))
    }
}

vectorized! {
    fn spread(base: &[f32], size: usize, width: usize, out: &mut [f32]) {
        for (base, out) in base.chunks_exact(width).zip(out.chunks_exact_mut(size)) {
            for out in out.chunks_exact_mut(width) {
                for (out, base) in out.iter_mut().zip(base) {
                    *out += base;
                }
            }
        }
    }
}

vectorized! {
    fn collect(grad: &[f32], size: usize, width: usize, out: &mut [f32]) {
        for (grad, out) in grad.chunks_exact(size).zip(out.chunks_exact_mut(width)) {
            for grad in grad.chunks_exact(width) {
                for (out, grad) in out.iter_mut().zip(grad) {
                    *out += grad;
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
        check(&[random(&[2, 5], 1), random(&[6, 5], 2)], |tape, inputs| {
            add_tiled(tape, &inputs[0], &inputs[1])
        });
    }
}
