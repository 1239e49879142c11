//! The YouTubeDNN tower (Covington et al., RecSys 2016): its parameters, its equations, its forward pass.
//!
//! One network whose inputs the recipe puts together: user features, any poolings of the history, example age. The
//! founding document's features are the recipe `towers/youtubednn-sum.toml`.
//!
//! Notation: `d` width, `h` hidden width, `H` heads of `d/H`, `L` history length, `i` an item, `t` an event of the history (oldest
//! first, `n` of them, the newest `L`), `LN` a layer norm (epsilon 1e-5), weights `[out, in]`.
//!
//! # Parameters (all f32)
//! | name | shape | where the recipe asks for it |
//! |---|---|---|
//! | `item.id` | `[items + 2, d]` | rows in the order of `vocabulary/item.id.txt`; 0 `<pad>`, 1 `<unk>` |
//! | `item.F` | `[values + 2, d]` | one per item feature, rows as in `vocabulary/item.F.txt` |
//! | `user.F` | `[values + 2, d]` | one per user feature, rows as in `vocabulary/user.F.txt` |
//! | `nonlinear.0.{weight,bias}` | `[2d, d]`, `[2d]` | `history = "nonlinear"` |
//! | `nonlinear.1.{weight,bias}` | `[d, 2d]`, `[d]` | |
//! | `self_attention.norm.{weight,bias}` | `[d]` | `history = { self_attention = .. }` |
//! | `self_attention.qkv.{weight,bias}` | `[3d, d]`, `[3d]` | queries, keys, values, each head after head |
//! | `self_attention.distance` | `[H, 2L - 1]` | bias by distance: column `L - 1 + t - s` for query `t` and key `s` |
//! | `history.factor` | `[edges + 2, 1]` | `value_weights`; by the bucket of the event's value, which is 1 + the number of edges not above it |
//! | `history.value`, `history.gap` | `[edges + 2, d]` | `event_features` |
//! | `example.age` | `[edges + 2, d]` | `example_age_edges` |
//! | `mlp.0.{weight,bias}` | `[h, in]`, `[h]` | `in` = `d` times the number of inputs; `2h` rows with `swiglu` |
//! | `mlp.1.{weight,bias}` | `[d, h]`, `[d]` | |
//!
//! # Equations
//! ```text
//! e(i) = item.id[i] + sum over F, over the values v of F(i) except padding: item.F[v]
//! x_t  = e(item_t)                                                                           plain
//!      = e(item_t) + relu(e(item_t) nonlinear.0.weight' + nonlinear.0.bias) nonlinear.1.weight' + nonlinear.1.bias
//!      = e(item_t) + concat over h of softmax over s of (q_h[t] . k_h[s] / sqrt(d/H) + distance[h, t - s]) v_h[s]
//!        with q, k, v = split(LN(e(item)) qkv.weight' + qkv.bias)                             self-attention
//! p    = sum over t of c(n - t, n) (history.factor[value_t] x_t + history.value[value_t] + history.gap[gap_t])
//!        c(a, n): 1 (sum), 1/n (mean), g^a / (1 + g + .. + g^(n-1)) (decay), 1 where a is the place (last, newest)
//! z    = concat(user.F1[..], .., p1, .., example.age[..])
//! u    = act(z mlp.0.weight' + mlp.0.bias) mlp.1.weight' + mlp.1.bias                         score(i) = u . e(i)
//! ```
//! The user vector is linear: a ReLU there would confine the scores to a cone. An example's age is how long before the
//! newest time of the training part its positive was watched; whoever asks now has age 0, so serving takes that row always.

mod history;
mod pooling;

use candle_core::{Result, Tensor};

use crate::kernels::bag::{Bags, bag_sum};
use crate::kernels::concat::concat;
use crate::kernels::dropout::dropout;
use crate::kernels::relu::relu;
use crate::kernels::swiglu::swiglu;
use crate::kernels::tape::Tape;
use crate::kernels::tile::add_tiled;
use crate::model::attention::Drops;
use crate::model::history::bucket;
use crate::model::init::Init;
use crate::model::recipe::{Activation, YouTubeDnn};
use crate::model::vocabulary::RESERVED;
use crate::model::{Parameters, affine, capsules, parameter, product};

pub(crate) use history::{Events, pooled, projected, transformed};
pub(crate) use pooling::weights;

/// A batch of users.
#[derive(Clone, Debug)]
pub(crate) struct Users {
    /// For each feature of the recipe one id a user, rows of `user.F`.
    pub(crate) features: Vec<Bags>,
    /// Their histories.
    pub(crate) events: Events,
    /// The bucket of each example's age, rows of `example.age`; `None` is age 0 for all.
    pub(crate) ages: Option<Bags>,
}

/// First values; `items` are the rows of the item table, `item_features` and `user_features` names and vocabulary sizes.
pub(crate) fn init(
    tower: &YouTubeDnn,
    length: usize,
    items: usize,
    item_features: &[(String, usize)],
    user_features: &[(String, usize)],
    init: &mut Init<'_>,
) -> Result<()> {
    let d = tower.dim;
    init.table("item.id", items, d, RESERVED)?;
    for (feature, values) in item_features {
        init.table(&format!("item.{feature}"), *values, d, RESERVED)?;
    }
    for (feature, values) in user_features {
        init.table(&format!("user.{feature}"), *values, d, RESERVED)?;
    }
    history::init(tower, length, init)?;
    let ages = tower.example_age_edges.len();
    if ages > 0 {
        init.table("example.age", ages + 2, d, 1)?;
    }
    let inputs = user_features.len() + tower.pooling.len() + usize::from(ages > 0);
    let outputs = match tower.activation {
        Activation::Relu => tower.hidden,
        Activation::SwiGlu => 2 * tower.hidden,
    };
    init.affine("mlp.0", outputs, inputs * d, 0.0)?;
    init.affine("mlp.1", d, tower.hidden, 0.0)?;
    match &tower.capsules {
        Some(capsules) => capsules::init(capsules, d, outputs, length, init),
        None => Ok(()),
    }
}

/// The row of `example.age` of an example so many seconds old.
pub(crate) fn age(tower: &YouTubeDnn, seconds: i64) -> u32 {
    bucket(&tower.example_age_edges, seconds as f64 / 86_400.0)
}

/// The user tower `[users * interests, d]`; `items` is the item table, or the rows that stand in for it.
pub(crate) fn users(
    tape: &Tape,
    tower: &YouTubeDnn,
    parameters: &Parameters,
    items: &Tensor,
    users: &Users,
    drops: Drops,
) -> Result<Tensor> {
    let mut inputs = Vec::new();
    for (feature, ids) in tower.user_features.iter().zip(&users.features) {
        let table = parameter(parameters, &format!("user.{feature}"))?;
        inputs.push(bag_sum(tape, table, ids)?);
    }
    inputs.push(pooled(tape, tower, parameters, items, &users.events)?);
    if !tower.example_age_edges.is_empty() {
        let table = parameter(parameters, "example.age")?;
        let now = || Bags::single(vec![age(tower, 0); users.events.len()]);
        inputs.push(bag_sum(
            tape,
            table,
            &users.ages.clone().unwrap_or_else(now),
        )?);
    }
    let mut z = concat(tape, &inputs)?;
    if tower.dropout > 0.0 {
        z = dropout(tape, &z, drops.draw(tower.dropout, 0), 1.0)?;
    }
    let mut hidden = affine(tape, parameters, "mlp.0", &z)?;
    if let Some(capsules) = &tower.capsules {
        let batch = capsules::batch(capsules, &users.events.bags());
        let rows = capsules::route(tape, capsules, parameters, items, &batch, drops.seed)?;
        hidden = add_tiled(
            tape,
            &hidden,
            &product(tape, parameters, "mlp.capsule", &rows)?,
        )?;
    }
    let hidden = match tower.activation {
        Activation::Relu => relu(tape, &hidden)?,
        Activation::SwiGlu => swiglu(tape, &hidden)?,
    };
    affine(tape, parameters, "mlp.1", &hidden)
}
