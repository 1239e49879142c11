//! The two towers as the trainer sees them: recipe, vocabularies, parameters, forward passes.

pub mod attention;
pub(crate) mod capsules;
pub(crate) mod cold_items;
pub mod document;
pub(crate) mod embed;
pub mod error;
mod fresh;
pub mod history;
mod init;
pub mod recipe;
pub mod trained;
pub mod vocabulary;
pub mod youtubednn;

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use crate::kernels::linear;
use crate::kernels::tape::Tape;

/// Parameters by name; the towers' modules say which.
pub type Parameters = BTreeMap<String, Tensor>;

/// The parameter of this name.
pub(crate) fn parameter<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a Tensor> {
    let missing = || candle_core::Error::Msg(format!("the model has no parameter {name}"));
    parameters.get(name).ok_or_else(missing)
}

/// The affine map of `NAME.weight` and `NAME.bias`.
pub(crate) fn affine(
    tape: &Tape,
    parameters: &Parameters,
    name: &str,
    x: &Tensor,
) -> Result<Tensor> {
    let weight = parameter(parameters, &format!("{name}.weight"))?;
    linear::linear(
        tape,
        x,
        weight,
        parameter(parameters, &format!("{name}.bias"))?,
    )
}

/// The linear map of `NAME.weight`, without a bias.
pub(crate) fn product(
    tape: &Tape,
    parameters: &Parameters,
    name: &str,
    x: &Tensor,
) -> Result<Tensor> {
    let weight = parameter(parameters, &format!("{name}.weight"))?;
    let nothing = Tensor::zeros(weight.dim(0)?, weight.dtype(), weight.device())?;
    linear::linear(tape, x, weight, &nothing)
}
