//! The causal self-attention tower: its parameters, its equations, its forward pass.
//!
//! Notation: `d` width, `H` heads of `d/H`, `L` history length, `i` an item, `t` a position of the history (oldest
//! first), `LN` a layer norm over the last axis (epsilon 1e-5), `*` the product by elements, weights `[out, in]`.
//!
//! # Parameters (all f32)
//! | name | shape | |
//! |---|---|---|
//! | `item.id` | `[items + 2, d]` | rows in the order of `vocabulary/item.id.txt`; 0 `<pad>`, 1 `<unk>` |
//! | `item.F` | `[values + 2, d]` | one per item feature `F` of the recipe, rows as in `vocabulary/item.F.txt` |
//! | `history.value` | `[edges + 2, d]` | row 0 padding, else 1 + the number of `value_edges` <= the event's value |
//! | `history.gap` | `[edges + 2, d]` | row 0 padding, else 1 + the number of `gap_edges` <= the gap in seconds |
//! | `history.wait` | `[edges + 2, d]` | with `request_time`: as the gap, of the seconds to the next event, or from the newest to the request |
//! | `block.B.attention.norm.{weight,bias}` | `[d]` | `B` counts from 0 |
//! | `block.B.attention.qkv.{weight,bias}` | `[3d, d]`, `[3d]` | queries, keys, values, each head after head |
//! | `block.B.attention.distance` | `[H, L]` | bias by distance: column `t - s` for query `t` and key `s <= t` |
//! | `block.B.attention.elapsed` | `[H, edges + 1]` | with `time_bias`: column = number of `gap_edges` <= the seconds between query and key |
//! | `block.B.attention.out.{weight,bias}` | `[d, d]`, `[d]` | |
//! | `block.B.attention.gate.{weight,bias}` | `[d, d]`, `[d]` | |
//! | `block.B.feed.norm.{weight,bias}` | `[d]` | |
//! | `block.B.feed.in.{weight,bias}` | `[4d, d]`, `[4d]` | SwiGLU: the first `2d` rows pass through silu |
//! | `block.B.feed.out.{weight,bias}` | `[d, 2d]`, `[d]` | |
//! | `block.B.feed.gate.{weight,bias}` | `[d, d]`, `[d]` | |
//! | `norm.{weight,bias}` | `[d]` | |
//!
//! # Item tower
//! ```text
//! e(i) = item.id[i] + sum over F, over the values v of F(i) except padding: item.F[v]
//! ```
//!
//! # User tower
//! ```text
//! x_t = sqrt(d) * (e(item_t) + history.value[value_t] + history.gap[gap_t] + history.wait[wait_t])     (a padded position: x_t = 0)
//! in each block B, with a = LN(x; attention.norm):
//!   q, k, v   = split(a qkv.weight' + qkv.bias)
//!   s_h[t, s] = q_h[t] . k_h[s] / sqrt(d/H) + distance[h, t - s] + elapsed[h, bucket(time_t - time_s)]   (s <= t and s not padding)
//!   o         = concat over h of softmax(s_h) v_h
//!   x         = x + (o out.weight' + out.bias) * sigmoid(x gate.weight' + gate.bias)
//!   with f = LN(x; feed.norm):  l, r = split(f in.weight' + in.bias)
//!   x         = x + ((silu(l) * r) out.weight' + out.bias) * sigmoid(x gate.weight' + gate.bias)
//! u = LN(x_newest; norm)                 score(i) = u . e(i)
//! ```
//! Only the newest position gives the user vector. An empty history is one position with `x = 0`; a padded graph whose
//! masked scores are all equally low gives the same, since all padded positions hold equal rows.
//! The bias by time is that of HSTU (Zhai et al., ICML 2024). The gates' biases start at 1 (LiGR, Borisyuk et al., 2025).

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::kernels::attention::attention;
use crate::kernels::bag::{Bags, add_bags, bag_sum};
use crate::kernels::dropout::{Dropout, dropout};
use crate::kernels::gate::gated_residual;
use crate::kernels::layer_norm::layer_norm;
use crate::kernels::swiglu::swiglu;
use crate::kernels::tape::Tape;
use crate::model::history::History;
use crate::model::init::Init;
use crate::model::recipe::Attention;
use crate::model::vocabulary::RESERVED;
use crate::model::{Parameters, affine, parameter};

/// Windows of histories end to end, without padding.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    /// Where each window ends, ascending to the number of rows.
    pub(crate) ends: Arc<[u32]>,
    /// Vocabulary id of each row's item; 0 for the only row of an empty history.
    pub(crate) items: Bags,
    /// Bucket of its value.
    values: Bags,
    /// Bucket of its gap.
    gaps: Bags,
    /// Bucket of the time from it to the next event or the request, where the tower asks for it.
    waits: Option<Bags>,
    /// Bucket of the time between each row and each row of its window, where the tower asks for it.
    between: Option<Arc<[u8]>>,
}

impl Windows {
    /// Windows that lie end to end in `rows`.
    pub(crate) fn new(tower: &Attention, rows: History, ends: Vec<u32>) -> Self {
        let between = || between(&rows.times, &ends, &tower.gap_edges).into();
        Self {
            between: tower.time_bias.then(between),
            waits: tower.request_time.then(|| Bags::single(rows.waits)),
            ends: ends.into(),
            items: Bags::single(rows.items),
            values: Bags::single(rows.values),
            gaps: Bags::single(rows.gaps),
        }
    }
}

/// The number of edges not above the seconds between each row and the rows up to it, `[rows, rows]` for each window.
fn between(times: &[i64], ends: &[u32], edges: &[f64]) -> Vec<u8> {
    let mut buckets = Vec::new();
    let mut start = 0;
    for &end in ends {
        let times = &times[start..end as usize];
        for (query, time) in times.iter().enumerate() {
            let row = buckets.len();
            buckets.resize(row + times.len(), 0);
            let mut bucket = 0;
            for key in (0..=query).rev() {
                let seconds = (time - times[key]) as f64;
                while edges.get(bucket).is_some_and(|&edge| edge <= seconds) {
                    bucket += 1;
                }
                buckets[row + key] = bucket as u8;
            }
        }
        start = end as usize;
    }
    buckets
}

/// Gives the drops of one forward pass their seeds; none outside training.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drops {
    /// Seed of this step and shard; nothing is dropped without one.
    pub(crate) seed: Option<u64>,
}

impl Drops {
    pub(crate) fn draw(self, rate: f32, place: usize) -> Dropout {
        match self.seed {
            Some(seed) if rate > 0.0 => Dropout::new(rate, mix(seed ^ (place as u64) << 56)),
            _ => Dropout::NONE,
        }
    }
}

/// Spreads a seed over all bits (the finalizer of SplitMix64).
pub(crate) fn mix(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// First values; `features` are the names and vocabulary sizes of the item features.
pub(crate) fn init(
    tower: &Attention,
    length: usize,
    items: usize,
    features: &[(String, usize)],
    init: &mut Init<'_>,
) -> Result<()> {
    let d = tower.dim;
    init.table("item.id", items, d, RESERVED)?;
    for (feature, values) in features {
        init.table(&format!("item.{feature}"), *values, d, RESERVED)?;
    }
    init.table("history.value", tower.value_edges.len() + 2, d, 1)?;
    init.table("history.gap", tower.gap_edges.len() + 2, d, 1)?;
    if tower.request_time {
        init.table("history.wait", tower.gap_edges.len() + 2, d, 1)?;
    }
    for block in 0..tower.blocks {
        let name = |part: &str| format!("block.{block}.{part}");
        init.norm(&name("attention.norm"), d)?;
        init.affine(&name("attention.qkv"), 3 * d, d, 0.0)?;
        init.table(
            &name("attention.distance"),
            tower.heads,
            length,
            tower.heads,
        )?;
        if tower.time_bias {
            let buckets = tower.gap_edges.len() + 1;
            init.table(
                &name("attention.elapsed"),
                tower.heads,
                buckets,
                tower.heads,
            )?;
        }
        init.affine(&name("attention.out"), d, d, 0.0)?;
        init.affine(&name("attention.gate"), d, d, 1.0)?;
        init.norm(&name("feed.norm"), d)?;
        init.affine(&name("feed.in"), 4 * d, d, 0.0)?;
        init.affine(&name("feed.out"), d, 2 * d, 0.0)?;
        init.affine(&name("feed.gate"), d, d, 1.0)?;
    }
    init.norm("norm", d)
}

/// The item tower over the whole vocabulary `[items + 2, d]`; `features` holds the bags of every item by feature.
pub(crate) fn items(
    tape: &Tape,
    parameters: &Parameters,
    features: &[(String, Bags)],
) -> Result<Tensor> {
    let id = parameter(parameters, "item.id")?.clone();
    features.iter().try_fold(id, |sum, (feature, bags)| {
        add_bags(
            tape,
            &sum,
            parameter(parameters, &format!("item.{feature}"))?,
            bags,
        )
    })
}

/// The user tower at every row `[rows, d]`; `items` is what [`items`] returns.
pub(crate) fn users(
    tape: &Tape,
    tower: &Attention,
    parameters: &Parameters,
    items: &Tensor,
    windows: &Windows,
    drops: Drops,
) -> Result<Tensor> {
    let mut sum = bag_sum(tape, items, &windows.items)?;
    let features = [
        ("history.value", Some(&windows.values)),
        ("history.gap", Some(&windows.gaps)),
        ("history.wait", windows.waits.as_ref()),
    ];
    for (name, bags) in features {
        if let Some(bags) = bags {
            sum = add_bags(tape, &sum, parameter(parameters, name)?, bags)?;
        }
    }
    let mut x = dropout(
        tape,
        &sum,
        drops.draw(tower.dropout, 0),
        (tower.dim as f32).sqrt(),
    )?;
    for block in 0..tower.blocks {
        let name = |part: &str| format!("block.{block}.{part}");
        let a = norm(tape, parameters, &name("attention.norm"), &x)?;
        let qkv = affine(tape, parameters, &name("attention.qkv"), &a)?;
        let distance = parameter(parameters, &name("attention.distance"))?;
        let weights = drops.draw(tower.attention_dropout, 3 * block + 1);
        let elapsed = match &windows.between {
            Some(between) => Some((parameter(parameters, &name("attention.elapsed"))?, between)),
            None => None,
        };
        let o = attention(tape, &qkv, distance, elapsed, &windows.ends, weights)?;
        let branch = affine(tape, parameters, &name("attention.out"), &o)?;
        let gate = affine(tape, parameters, &name("attention.gate"), &x)?;
        x = gated_residual(
            tape,
            &x,
            &branch,
            &gate,
            drops.draw(tower.dropout, 3 * block + 2),
        )?;
        let f = norm(tape, parameters, &name("feed.norm"), &x)?;
        let hidden = swiglu(tape, &affine(tape, parameters, &name("feed.in"), &f)?)?;
        let branch = affine(tape, parameters, &name("feed.out"), &hidden)?;
        let gate = affine(tape, parameters, &name("feed.gate"), &x)?;
        x = gated_residual(
            tape,
            &x,
            &branch,
            &gate,
            drops.draw(tower.dropout, 3 * block + 3),
        )?;
    }
    norm(tape, parameters, "norm", &x)
}

fn norm(tape: &Tape, parameters: &Parameters, name: &str, x: &Tensor) -> Result<Tensor> {
    let weight = parameter(parameters, &format!("{name}.weight"))?;
    layer_norm(
        tape,
        x,
        weight,
        parameter(parameters, &format!("{name}.bias"))?,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_between_rows_is_bucketed_inside_their_window_and_up_to_the_query() {
        let buckets = between(&[5, 3, 4, 11], &[1, 4], &[1.0, 2.0, 4.0, 8.0]);
        assert_eq!(buckets, [0, 0, 0, 0, 1, 0, 0, 4, 3, 0]);
    }
}
