//! Puts rows side by side.

use candle_core::{Result, Tensor};

use crate::kernels::tape::Tape;

/// Joins tensors of equally many rows, `[n, a]`, `[n, b]`, .., to `[n, a + b + ..]`.
pub(crate) fn concat(tape: &Tape, parts: &[Tensor]) -> Result<Tensor> {
    let out = Tensor::cat(parts, 1)?;
    let parts = parts.to_vec();
    tape.record(&out, move |grad| {
        let mut start = 0;
        let of_part = |part: &Tensor| {
            let width = part.dim(1)?;
            start += width;
            Ok((
                part.id(),
                Some(grad.narrow(1, start - width, width)?.contiguous()?),
            ))
        };
        parts.iter().map(of_part).collect()
    });
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gradient::{check, random};

    #[test]
    fn the_backward_agrees_with_differences() {
        let inputs = [random(&[3, 2], 1), random(&[3, 4], 2)];
        check(&inputs, |tape, inputs| {
            concat(
                tape,
                &[inputs[0].as_tensor().clone(), inputs[1].as_tensor().clone()],
            )
        });
    }
}
