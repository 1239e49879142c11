//! The rectifier: negative entries become 0.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use crate::kernels::simd::vectorized;
use crate::kernels::tape::Tape;
use crate::kernels::{read, tensor, values};

/// `max(x, 0)`.
pub(crate) fn relu(tape: &Tape, x: &Tensor) -> Result<Tensor> {
    tape.apply1(x, Relu)
}

struct Relu;

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(x, layout)?;
        let mut out = x.to_vec();
        keep_positive(&mut out, x);
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let mut out = read(grad, <[f32]>::to_vec)?;
        read(x, |x| keep_positive(&mut out, x))?;
        Ok(Some(tensor(out, x)?))
    }
}

vectorized! {
    /// Zeroes the entries of `out` where `x` is not positive.
    fn keep_positive(out: &mut [f32], x: &[f32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = if x > 0.0 { *out } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gradient::{check, random};

    #[test]
    fn the_backward_agrees_with_differences() {
        check(&[random(&[4, 9], 1)], |tape, inputs| relu(tape, &inputs[0]));
    }
}
