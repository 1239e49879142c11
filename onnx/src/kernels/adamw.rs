//! AdamW in one pass over a parameter and its two moments (Loshchilov and Hutter, ICLR 2019).

use std::sync::Mutex;

use candle_core::{CpuStorage, Error, InplaceOp1, Layout, Result, Tensor};

use crate::kernels::read;
use crate::kernels::simd::vectorized;

/// The constants of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Learning rate.
    pub(crate) rate: f32,
    /// Decay of the mean of gradients.
    pub(crate) beta1: f32,
    /// Decay of the mean of squared gradients.
    pub(crate) beta2: f32,
    /// Subtracted from the parameter, times rate and parameter.
    pub(crate) decay: f32,
    /// Every gradient is multiplied by this first (clipping).
    pub(crate) clip: f32,
    /// Number of this step, from 1.
    pub(crate) number: u64,
}

/// The running means of one parameter's gradients and their squares.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moments {
    /// Mean of gradients.
    pub(crate) first: Vec<f32>,
    /// Mean of squared gradients.
    pub(crate) second: Vec<f32>,
}

impl Moments {
    /// Zeros for `len` values.
    pub(crate) fn new(len: usize) -> Self {
        Self {
            first: vec![0.0; len],
            second: vec![0.0; len],
        }
    }
}

/// Moves `parameter` against `gradient`, in place.
pub(crate) fn adamw(
    parameter: &Tensor,
    gradient: &Tensor,
    moments: &mut Moments,
    step: Step,
) -> Result<()> {
    read(gradient, |gradient| {
        parameter.inplace_op1(&AdamW {
            gradient,
            rows: None,
            moments: Mutex::new(moments),
            step,
        })
    })?
}

/// Moves the named rows of `parameter` `[rows, d]`; row `i` of `gradient` belongs to `rows[i]`, and no row comes twice.
///
/// The moments of rows that are not named stay as they are (lazy Adam).
pub(crate) fn adamw_rows(
    parameter: &Tensor,
    rows: &[u32],
    gradient: &Tensor,
    moments: &mut Moments,
    step: Step,
) -> Result<()> {
    read(gradient, |gradient| {
        parameter.inplace_op1(&AdamW {
            gradient,
            rows: Some(rows),
            moments: Mutex::new(moments),
            step,
        })
    })?
}

struct AdamW<'a> {
    gradient: &'a [f32],
    rows: Option<&'a [u32]>,
    moments: Mutex<&'a mut Moments>,
    step: Step,
}

impl InplaceOp1 for AdamW<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(parameter), Some((0, len))) = (storage, layout.contiguous_offsets())
        else {
            return Err(Error::Msg("AdamW moves whole f32 parameters".into()));
        };
        let parameter = &mut parameter[..len];
        let mut moments = self
            .moments
            .lock()
            .map_err(|_| Error::Msg("AdamW's moments are poisoned".into()))?;
        let Moments { first, second } = &mut **moments;
        let Some(rows) = self.rows else {
            update(parameter, self.gradient, first, second, self.step);
            return Ok(());
        };
        let (_, width) = layout.shape().dims2()?;
        for (&row, gradient) in rows.iter().zip(self.gradient.chunks_exact(width)) {
            let at = row as usize * width..(row as usize + 1) * width;
            update(
                &mut parameter[at.clone()],
                gradient,
                &mut first[at.clone()],
                &mut second[at],
                self.step,
            );
        }
        Ok(())
    }
}

vectorized! {
    fn update(parameter: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], step: Step) {
        const EPSILON: f32 = 1e-8;
        let power = step.number.min(i32::MAX as u64) as i32;
        let rate = step.rate / (1.0 - step.beta1.powi(power));
        let unbias = 1.0 / (1.0 - step.beta2.powi(power));
        let shrink = 1.0 - step.rate * step.decay;
        for (((x, g), m), v) in parameter.iter_mut().zip(gradient).zip(first).zip(second) {
            let g = g * step.clip;
            *m = step.beta1 * *m + (1.0 - step.beta1) * g;
            *v = step.beta2 * *v + (1.0 - step.beta2) * g * g;
            *x = *x * shrink - rate * *m / ((*v * unbias).sqrt() + EPSILON);
        }
    }
}

vectorized! {
    /// The sum of squares.
    pub(crate) fn squared_norm(x: &[f32]) -> f32 {
        crate::kernels::simd::dot(x, x)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use candle_core::Device;

    use super::*;

    const STEP: Step = Step {
        rate: 0.1,
        beta1: 0.9,
        beta2: 0.98,
        decay: 0.01,
        clip: 1.0,
        number: 1,
    };

    #[test]
    fn the_first_step_is_the_rate_against_the_sign() {
        let parameter = Tensor::new(&[1.0_f32, -2.0, 3.0], &Device::Cpu).unwrap();
        let gradient = Tensor::new(&[0.5_f32, -0.01, 0.0], &Device::Cpu).unwrap();
        adamw(&parameter, &gradient, &mut Moments::new(3), STEP).unwrap();
        let moved = parameter.to_vec1::<f32>().unwrap();
        for (found, expected) in moved.iter().zip([0.999 - 0.1, -1.998 + 0.1, 2.997]) {
            assert!((found - expected).abs() < 1e-5, "{moved:?}");
        }
    }

    #[test]
    fn rows_move_as_a_whole_table_would_and_others_stay() {
        let start = [[1.0_f32, 2.0], [3.0, 4.0], [5.0, 6.0]];
        let [whole, part] = [0, 1].map(|_| Tensor::new(&start, &Device::Cpu).unwrap());
        let (mut all, mut lazy) = (Moments::new(6), Moments::new(6));
        for number in 1..4 {
            let step = Step {
                number,
                decay: 0.0,
                ..STEP
            };
            let dense =
                Tensor::new(&[[0.3_f32, 0.1], [0.0, 0.0], [0.2, -0.4]], &Device::Cpu).unwrap();
            let named = Tensor::new(&[[0.2_f32, -0.4], [0.3, 0.1]], &Device::Cpu).unwrap();
            adamw(&whole, &dense, &mut all, step).unwrap();
            adamw_rows(&part, &[2, 0], &named, &mut lazy, step).unwrap();
        }
        assert_eq!(
            whole.to_vec2::<f32>().unwrap(),
            part.to_vec2::<f32>().unwrap()
        );
        assert_eq!(part.to_vec2::<f32>().unwrap()[1], start[1]);
    }
}
