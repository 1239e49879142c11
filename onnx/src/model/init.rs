//! First values of parameters.

use candle_core::{Device, Result, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::model::Parameters;

/// Spread of the first values of embeddings.
const SPREAD: f32 = 0.02;

/// Draws parameters one after another into a map.
pub(crate) struct Init<'a> {
    /// Where they go.
    pub(crate) parameters: &'a mut Parameters,
    /// Where they come from.
    pub(crate) rng: ChaCha8Rng,
}

impl Init<'_> {
    /// A table `[rows, width]` whose first `zeros` rows are 0, normal draws below them.
    pub(crate) fn table(
        &mut self,
        name: &str,
        rows: usize,
        width: usize,
        zeros: usize,
    ) -> Result<()> {
        let mut values = vec![0.0; rows * width];
        for value in &mut values[zeros.min(rows) * width..] {
            *value = SPREAD * normal(&mut self.rng);
        }
        self.put(name, values, &[rows, width])
    }

    /// `NAME.weight` `[outputs, inputs]`, uniform within one over the root of the inputs, and `NAME.bias`, all `bias`.
    pub(crate) fn affine(
        &mut self,
        name: &str,
        outputs: usize,
        inputs: usize,
        bias: f32,
    ) -> Result<()> {
        self.matrix(&format!("{name}.weight"), outputs, inputs)?;
        self.put(&format!("{name}.bias"), vec![bias; outputs], &[outputs])
    }

    /// A matrix `[outputs, inputs]`, uniform within one over the root of the inputs.
    pub(crate) fn matrix(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<()> {
        let bound = 1.0 / (inputs as f32).sqrt();
        let weight = (0..outputs * inputs)
            .map(|_| self.rng.random_range(-bound..bound))
            .collect();
        self.put(name, weight, &[outputs, inputs])
    }

    /// `NAME.weight`, all 1, and `NAME.bias`, all 0, of a layer norm.
    pub(crate) fn norm(&mut self, name: &str, width: usize) -> Result<()> {
        self.put(&format!("{name}.weight"), vec![1.0; width], &[width])?;
        self.put(&format!("{name}.bias"), vec![0.0; width], &[width])
    }

    /// A table `[rows, width]` of ones.
    pub(crate) fn ones(&mut self, name: &str, rows: usize, width: usize) -> Result<()> {
        self.put(name, vec![1.0; rows * width], &[rows, width])
    }

    /// Values that are not drawn here.
    pub(crate) fn put(&mut self, name: &str, values: Vec<f32>, shape: &[usize]) -> Result<()> {
        self.parameters.insert(
            name.to_owned(),
            Tensor::from_vec(values, shape, &Device::Cpu)?,
        );
        Ok(())
    }
}

/// A standard normal draw (Box and Muller, 1958).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    radius * (std::f32::consts::TAU * rng.random::<f32>()).cos()
}
