//! The affine map of rows, `y = x w' + b`, on one thread.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use crate::kernels::matmul::{Matrix, MatrixMut};
use crate::kernels::products::Products;
use crate::kernels::simd::vectorized;
use crate::kernels::tape::Tape;
use crate::kernels::{read, tensor, values};

/// Maps `x` `[n, in]` by `weight` `[out, in]` and `bias` `[out]` to `[n, out]`.
pub(crate) fn linear(tape: &Tape, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    tape.apply3(x, weight, bias, Linear(tape.products()))
}

struct Linear(Products);

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
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
        let (rows, width) = x_layout.shape().dims2()?;
        let (outputs, _) = weight_layout.shape().dims2()?;
        let bias = values(bias, bias_layout)?;
        let mut out = Vec::with_capacity(rows * outputs);
        for _ in 0..rows {
            out.extend_from_slice(bias);
        }
        self.0.add_product(
            MatrixMut::new(&mut out, rows, outputs),
            Matrix::new(values(x, x_layout)?, rows, width),
            Matrix::new(values(weight, weight_layout)?, outputs, width).transposed(),
        );
        Ok((CpuStorage::F32(out), (rows, outputs).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (rows, width) = x.dims2()?;
        let outputs = bias.elem_count();
        let mut grad_x = vec![0.0; rows * width];
        let mut grad_weight = vec![0.0; outputs * width];
        let mut grad_bias = vec![0.0; outputs];
        read(grad, |grad| -> Result<()> {
            let out = Matrix::new(grad, rows, outputs);
            read(weight, |weight| {
                self.0.multiply(
                    MatrixMut::new(&mut grad_x, rows, width),
                    out,
                    Matrix::new(weight, outputs, width),
                    1.0,
                );
            })?;
            read(x, |x| {
                let grad_weight = MatrixMut::new(&mut grad_weight, outputs, width);
                self.0.multiply(
                    grad_weight,
                    out.transposed(),
                    Matrix::new(x, rows, width),
                    1.0,
                );
            })?;
            sum_rows(grad, &mut grad_bias);
            Ok(())
        })??;
        Ok((
            Some(tensor(grad_x, x)?),
            Some(tensor(grad_weight, weight)?),
            Some(tensor(grad_bias, bias)?),
        ))
    }
}

vectorized! {
    fn sum_rows(rows: &[f32], sums: &mut [f32]) {
        for row in rows.chunks_exact(sums.len()) {
            for (sum, x) in sums.iter_mut().zip(row) {
                *sum += x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::kernels::gradient::{check, random};

    #[test]
    fn the_backward_agrees_with_differences() {
        let inputs = [random(&[5, 3], 1), random(&[4, 3], 2), random(&[4], 3)];
        check(&inputs, |tape, inputs| {
            linear(tape, &inputs[0], &inputs[1], &inputs[2])
        });
    }

    #[test]
    fn rounded_products_of_short_values_are_exact() {
        let eighths = |shape: &[usize], seed| {
            let x = (random(shape, seed).as_tensor() * 8.0)?.round()? / 8.0;
            candle_core::Var::from_tensor(&x?)
        };
        let inputs = [
            (&[40, 33][..], 1),
            (&[50, 33], 2),
            (&[50], 3),
            (&[40, 50], 4),
        ]
        .map(|(shape, seed)| eighths(shape, seed).unwrap());
        let run = |products| {
            let tape = Tape::recording().with(products);
            let out = linear(&tape, &inputs[0], &inputs[1], &inputs[2]).unwrap();
            let mut all = tape.backward(&out, inputs[3].as_tensor().clone()).unwrap();
            let values = |x: Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let gradients = inputs[..3].iter().map(|x| all.remove(&x.id()).unwrap());
            gradients.chain([out]).map(values).collect::<Vec<_>>()
        };
        assert_eq!(run(Products::F32), run(Products::Bf16));
    }
}
