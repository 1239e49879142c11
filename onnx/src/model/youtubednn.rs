//! The founding document's YouTubeDNN tower: its parameters, its equations, its forward pass.
//!
//! Notation: `d` width, `h` hidden width, `F` the user features of the recipe in its order (`id` first), weights `[out, in]`.
//!
//! # Parameters (all f32)
//! | name | shape | |
//! |---|---|---|
//! | `item.id` | `[items + 2, d]` | rows in the order of `vocabulary/item.id.txt`; 0 `<pad>`, 1 `<unk>` |
//! | `user.F` | `[values + 2, d]` | one per user feature, rows as in `vocabulary/user.F.txt` |
//! | `mlp.0.{weight,bias}` | `[h, (features + 1) d]`, `[h]` | |
//! | `mlp.1.{weight,bias}` | `[d, h]`, `[d]` | |
//!
//! # Equations
//! ```text
//! e(i) = item.id[i]
//! p    = sum over the history, padding left out, of item.id[item_t]
//! c    = concat(user.F1[..], user.F2[..], .., p)
//! u    = relu(c mlp.0.weight' + mlp.0.bias) mlp.1.weight' + mlp.1.bias          score(i) = u . e(i)
//! ```
//! The user vector is linear: a ReLU there would confine the scores to a cone.

use candle_core::{Result, Tensor};

use crate::kernels::bag::{Bags, bag_sum};
use crate::kernels::concat::concat;
use crate::kernels::relu::relu;
use crate::kernels::tape::Tape;
use crate::model::init::Init;
use crate::model::recipe::YouTubeDnn;
use crate::model::vocabulary::RESERVED;
use crate::model::{Parameters, affine, parameter};

/// A batch of users.
#[derive(Clone, Debug)]
pub(crate) struct Users {
    /// For each feature of the recipe one id a user, rows of `user.F`.
    pub(crate) features: Vec<Bags>,
    /// Items of the histories, rows of `item.id`.
    pub(crate) history: Bags,
}

/// First values; `features` are the names and vocabulary sizes of the user features.
pub(crate) fn init(
    tower: &YouTubeDnn,
    items: usize,
    features: &[(String, usize)],
    init: &mut Init<'_>,
) -> Result<()> {
    init.table("item.id", items, tower.dim, RESERVED)?;
    for (feature, values) in features {
        init.table(&format!("user.{feature}"), *values, tower.dim, RESERVED)?;
    }
    init.affine("mlp.0", tower.hidden, (features.len() + 1) * tower.dim, 0.0)?;
    init.affine("mlp.1", tower.dim, tower.hidden, 0.0)
}

/// The user tower `[users, d]`.
pub(crate) fn users(
    tape: &Tape,
    tower: &YouTubeDnn,
    parameters: &Parameters,
    users: &Users,
) -> Result<Tensor> {
    let mut parts = Vec::with_capacity(tower.user_features.len() + 1);
    for (feature, ids) in tower.user_features.iter().zip(&users.features) {
        parts.push(bag_sum(
            tape,
            parameter(parameters, &format!("user.{feature}"))?,
            ids,
        )?);
    }
    parts.push(bag_sum(
        tape,
        parameter(parameters, "item.id")?,
        &users.history,
    )?);
    let hidden = affine(tape, parameters, "mlp.0", &concat(tape, &parts)?)?;
    affine(tape, parameters, "mlp.1", &relu(tape, &hidden)?)
}
