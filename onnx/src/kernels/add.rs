//! The sum of two tensors of one shape.

use candle_core::{Result, Tensor};

use crate::kernels::simd::add_to;
use crate::kernels::tape::Tape;
use crate::kernels::{read, tensor};

/// `a + b`.
pub(crate) fn add(tape: &Tape, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let mut sum = read(a, <[f32]>::to_vec)?;
    read(b, |b| add_to(&mut sum, b))?;
    let out = tensor(sum, a)?;
    let (a, b) = (a.id(), b.id());
    tape.record(&out, move |grad| {
        Ok(vec![(a, Some(grad.clone())), (b, Some(grad.copy()?))])
    });
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gradient::{check, random};

    #[test]
    fn the_backward_agrees_with_differences() {
        let inputs = [random(&[3, 4], 1), random(&[3, 4], 2)];
        check(&inputs, |tape, inputs| add(tape, &inputs[0], &inputs[1]));
    }
}
