//! SwiGLU: the first half of each row, through silu, times the second half.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use crate::kernels::simd::{sigmoid, vectorized};
use crate::kernels::tape::Tape;
use crate::kernels::{read, tensor, values};

/// Maps `[n, 2h]` to `[n, h]`: `silu(left) * right`.
pub(crate) fn swiglu(tape: &Tape, x: &Tensor) -> Result<Tensor> {
    tape.apply1(x, SwiGlu)
}

struct SwiGlu;

impl CustomOp1 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        let mut out = vec![0.0; rows * width / 2];
        forward(values(x, layout)?, width / 2, &mut out);
        Ok((CpuStorage::F32(out), (rows, width / 2).into()))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let half = x.dim(1)? / 2;
        let mut grad_x = vec![0.0; x.elem_count()];
        read(x, |x| {
            read(grad, |grad| backward(x, grad, half, &mut grad_x))
        })??;
        Ok(Some(tensor(grad_x, x)?))
    }
}

vectorized! {
    fn forward(x: &[f32], half: usize, out: &mut [f32]) {
        for (x, out) in x.chunks_exact(2 * half).zip(out.chunks_exact_mut(half)) {
            let (left, right) = x.split_at(half);
            for ((out, &left), &right) in out.iter_mut().zip(left).zip(right) {
                *out = left * sigmoid(left) * right;
            }
        }
    }
}

vectorized! {
    fn backward(x: &[f32], grad: &[f32], half: usize, grad_x: &mut [f32]) {
        let rows = x.chunks_exact(2 * half).zip(grad.chunks_exact(half)).zip(grad_x.chunks_exact_mut(2 * half));
        for ((x, grad), grad_x) in rows {
            let (left, right) = x.split_at(half);
            let (grad_left, grad_right) = grad_x.split_at_mut(half);
            for at in 0..half {
                let gate = sigmoid(left[at]);
                let silu = left[at] * gate;
                grad_right[at] = grad[at] * silu;
                grad_left[at] = grad[at] * right[at] * (gate + silu * (1.0 - gate));
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
        check(&[random(&[3, 10], 1)], |tape, inputs| {
            swiglu(tape, &inputs[0])
        });
    }
}
