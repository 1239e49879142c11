//! Moves parameters by their gradients: clip by the norm over all of them, then AdamW.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use crate::kernels::adamw::{Moments, Step, adamw, adamw_rows, squared_norm};
use crate::kernels::read;
use crate::model::recipe::Training;
use crate::model::{Parameters, parameter};
use crate::train::gradients::Gradients;

/// One step of the optimizer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Optimizer<'a> {
    /// Betas, decay, clip.
    pub(crate) settings: &'a Training,
    /// Learning rate.
    pub(crate) rate: f32,
    /// Number of the step, from 1.
    pub(crate) number: u64,
}

impl Optimizer<'_> {
    /// Moves every parameter that has a gradient; of those named in `rows`, the rows.
    pub(crate) fn step(
        self,
        parameters: &Parameters,
        gradients: &Gradients,
        rows: &BTreeMap<String, Vec<u32>>,
        moments: &mut BTreeMap<String, Moments>,
    ) -> Result<()> {
        let clip = self.clip(gradients)?;
        for (name, gradient) in &gradients.by_name {
            let parameter = parameter(parameters, name)?;
            let moments = moments
                .entry(name.clone())
                .or_insert_with(|| Moments::new(parameter.elem_count()));
            let step = self.of(name, parameter, clip);
            match rows.get(name) {
                Some(rows) => adamw_rows(parameter, rows, gradient, moments, step)?,
                None => adamw(parameter, gradient, moments, step)?,
            }
        }
        Ok(())
    }

    fn of(self, name: &str, parameter: &Tensor, clip: f32) -> Step {
        let [beta1, beta2] = self.settings.betas;
        let is_matrix = name.ends_with(".weight") && parameter.rank() == 2;
        let decay = if is_matrix { self.settings.decay } else { 0.0 };
        Step {
            rate: self.rate,
            beta1,
            beta2,
            decay,
            clip,
            number: self.number,
        }
    }

    /// What every gradient is multiplied by, so that their common norm is at most the recipe's.
    fn clip(self, gradients: &Gradients) -> Result<f32> {
        let mut total = 0.0_f64;
        for gradient in gradients.by_name.values() {
            total += f64::from(read(gradient, squared_norm)?);
        }
        Ok((f64::from(self.settings.clip) / total.sqrt().max(1e-12)).min(1.0) as f32)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use candle_core::Device;

    use super::*;
    use crate::model::recipe::Recipe;

    #[test]
    fn a_long_gradient_is_cut_to_the_norm_and_a_short_one_stays() {
        let settings = Recipe::quick_tower().unwrap().training;
        let optimizer = Optimizer {
            settings: &settings,
            rate: 0.1,
            number: 1,
        };
        for (length, expected) in [(10.0_f32, 0.5), (1.0, 1.0)] {
            let gradient = Tensor::new(&[0.6 * length, 0.8 * length], &Device::Cpu).unwrap();
            let gradients = Gradients {
                loss: 0.0,
                by_name: BTreeMap::from([("x".to_owned(), gradient)]),
            };
            assert!((optimizer.clip(&gradients).unwrap() - expected).abs() < 1e-6);
        }
    }
}
