//! Layer norm over the last axis with its backward (candle's fused one has none).

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use crate::kernels::simd::{dot, sum, vectorized};
use crate::kernels::tape::Tape;
use crate::kernels::{read, tensor, values};

/// Added to the variance.
pub(crate) const EPSILON: f32 = 1e-5;

/// Normalizes the rows of `x` `[n, d]`, then scales by `weight` `[d]` and shifts by `bias` `[d]`.
pub(crate) fn layer_norm(
    tape: &Tape,
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
) -> Result<Tensor> {
    tape.apply3(x, weight, bias, LayerNorm)
}

struct LayerNorm;

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = values(x, x_layout)?;
        let mut out = vec![0.0; x.len()];
        forward(
            x,
            values(weight, weight_layout)?,
            values(bias, bias_layout)?,
            &mut out,
        );
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut grad_x = vec![0.0; x.elem_count()];
        let mut grad_weight = vec![0.0; weight.elem_count()];
        let mut grad_bias = vec![0.0; weight.elem_count()];
        read(x, |x| {
            read(weight, |weight| {
                read(grad, |grad| {
                    backward(
                        x,
                        weight,
                        grad,
                        &mut grad_x,
                        &mut grad_weight,
                        &mut grad_bias,
                    )
                })
            })
        })???;
        Ok((
            Some(tensor(grad_x, x)?),
            Some(tensor(grad_weight, weight)?),
            Some(tensor(grad_bias, bias)?),
        ))
    }
}

vectorized! {
    fn forward(x: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32]) {
        let width = weight.len();
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let (mean, scale) = moments(x);
            for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                *out = (x - mean) * scale * weight + bias;
            }
        }
    }
}

vectorized! {
    fn backward(
        x: &[f32],
        weight: &[f32],
        grad: &[f32],
        grad_x: &mut [f32],
        grad_weight: &mut [f32],
        grad_bias: &mut [f32],
    ) {
        let width = weight.len();
        let mut normal = vec![0.0_f32; width];
        let mut pulled = vec![0.0_f32; width];
        let rows = x.chunks_exact(width).zip(grad.chunks_exact(width)).zip(grad_x.chunks_exact_mut(width));
        for ((x, grad), grad_x) in rows {
            let (mean, scale) = moments(x);
            for at in 0..width {
                normal[at] = (x[at] - mean) * scale;
                pulled[at] = grad[at] * weight[at];
                grad_weight[at] += grad[at] * normal[at];
                grad_bias[at] += grad[at];
            }
            let shift = sum(&pulled) / width as f32;
            let along = dot(&pulled, &normal) / width as f32;
            for at in 0..width {
                grad_x[at] = (pulled[at] - shift - normal[at] * along) * scale;
            }
        }
    }
}

/// The mean of a row, and one over its standard deviation.
#[inline(always)]
fn moments(row: &[f32]) -> (f32, f32) {
    let mean = sum(row) / row.len() as f32;
    let mut squares = [0.0_f32; 16];
    let (whole, rest) = row.as_chunks::<16>();
    for chunk in whole {
        for lane in 0..16 {
            squares[lane] += (chunk[lane] - mean) * (chunk[lane] - mean);
        }
    }
    let total =
        squares.iter().sum::<f32>() + rest.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>();
    (mean, 1.0 / (total / row.len() as f32 + EPSILON).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gradient::{check, random};

    #[test]
    fn the_backward_agrees_with_differences() {
        let inputs = [random(&[3, 19], 1), random(&[19], 2), random(&[19], 3)];
        check(&inputs, |tape, inputs| {
            layer_norm(tape, &inputs[0], &inputs[1], &inputs[2])
        });
    }
}
