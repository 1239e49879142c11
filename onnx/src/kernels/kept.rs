//! Gradients that a loss computes in its forward, where all that they need is at hand, and hands out in its backward.

use std::sync::{Mutex, PoisonError};

use candle_core::{Result, Tensor};

use crate::kernels::tensor;

/// The gradients of a loss's two arguments, for a gradient of 1 of the loss itself.
#[derive(Default)]
pub(crate) struct Kept(Mutex<(Vec<f32>, Vec<f32>)>);

impl Kept {
    /// Keeps the gradients of the first argument and of the second.
    pub(crate) fn put(&self, first: Vec<f32>, second: Vec<f32>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (first, second);
    }

    /// Hands them out, times the gradient of the loss, shaped as the arguments; once.
    pub(crate) fn take(
        &self,
        first: &Tensor,
        second: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut of_first, mut of_second) = std::mem::take(&mut *kept);
        let factor = grad.to_scalar::<f32>()?;
        if factor != 1.0 {
            let all = of_first.iter_mut().chain(&mut of_second);
            all.for_each(|x| *x *= factor);
        }
        Ok((
            Some(tensor(of_first, first)?),
            Some(tensor(of_second, second)?),
        ))
    }
}
