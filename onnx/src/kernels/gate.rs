//! The gated residual: `x + dropout(branch) * sigmoid(gate)`.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use crate::kernels::dropout::Dropout;
use crate::kernels::simd::{sigmoid, vectorized};
use crate::kernels::tape::Tape;
use crate::kernels::{read, tensor, values};

/// Adds a branch to the residual stream through its gate; all three of one shape.
pub(crate) fn gated_residual(
    tape: &Tape,
    x: &Tensor,
    branch: &Tensor,
    gate: &Tensor,
    dropout: Dropout,
) -> Result<Tensor> {
    tape.apply3(x, branch, gate, Gate(dropout))
}

struct Gate(Dropout);

impl CustomOp3 for Gate {
    fn name(&self) -> &'static str {
        "gated-residual"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        branch: &CpuStorage,
        branch_layout: &Layout,
        gate: &CpuStorage,
        gate_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let mut out = values(x, x_layout)?.to_vec();
        forward(
            &mut out,
            values(branch, branch_layout)?,
            values(gate, gate_layout)?,
            self.0,
        );
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        _x: &Tensor,
        branch: &Tensor,
        gate: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut grad_branch = vec![0.0; grad.elem_count()];
        let mut grad_gate = vec![0.0; grad.elem_count()];
        read(branch, |branch| {
            read(gate, |gate| {
                read(grad, |grad| {
                    backward(branch, gate, grad, self.0, &mut grad_branch, &mut grad_gate)
                })
            })
        })???;
        Ok((
            Some(grad.clone()),
            Some(tensor(grad_branch, branch)?),
            Some(tensor(grad_gate, gate)?),
        ))
    }
}

vectorized! {
    fn forward(out: &mut [f32], branch: &[f32], gate: &[f32], dropout: Dropout) {
        for (index, ((out, branch), &gate)) in out.iter_mut().zip(branch).zip(gate).enumerate() {
            *out += branch * dropout.factor(index as u32) * sigmoid(gate);
        }
    }
}

vectorized! {
    fn backward(
        branch: &[f32],
        gate: &[f32],
        grad: &[f32],
        dropout: Dropout,
        grad_branch: &mut [f32],
        grad_gate: &mut [f32],
    ) {
        let len = grad.len();
        let (branch, gate) = (&branch[..len], &gate[..len]);
        let (grad_branch, grad_gate) = (&mut grad_branch[..len], &mut grad_gate[..len]);
        for at in 0..len {
            let open = sigmoid(gate[at]);
            let passed = grad[at] * dropout.factor(at as u32) * open;
            grad_branch[at] = passed;
            grad_gate[at] = passed * branch[at] * (1.0 - open);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gradient::{check, random};

    #[test]
    fn the_backward_agrees_with_differences() {
        let inputs = [random(&[4, 5], 1), random(&[4, 5], 2), random(&[4, 5], 3)];
        for dropout in [Dropout::NONE, Dropout::new(0.3, 5)] {
            check(&inputs, |tape, inputs| {
                gated_residual(tape, &inputs[0], &inputs[1], &inputs[2], dropout)
            });
        }
    }
}
