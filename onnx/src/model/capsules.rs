//! Several interests a user (MIND; Li et al., CIKM 2019): their parameters, equations, forward pass.
//!
//! Notation: `d` width, `h` width of the hidden layer's sums, `K` interests, `L` length of the history, `c` what the tower
//! feeds its hidden layer (user features and pooled history), `e` the item table; an event has age 0 if it is the newest.
//!
//! # Parameters (all f32)
//! | name | shape | |
//! |---|---|---|
//! | `capsule.map.weight` | `[d, d]` | the bilinear map, one for all interests |
//! | `capsule.position` | `[L, d]` | by age; with `positions` alone |
//! | `capsule.logits` | `[K, L]` | where routing starts, by age; drawn or laid out once, never trained |
//! | `mlp.capsule.weight` | `[h, d]` | the columns of `mlp.0` that the capsule meets |
//!
//! # Equations
//! ```text
//! x_i   = capsule.map.weight (e(item_i) + capsule.position[age_i])
//! v_k   = the capsules of x by dynamic routing, from capsule.logits[k, age_i]       kernels::routing
//! u_k   = mlp.1 (act(mlp.0 c + mlp.capsule.weight v_k))                             score(i) = max over k of u_k . e(i)
//! ```
//! `mlp.0 c + mlp.capsule v_k` is the document's FC_1 of `concat(c, v_k)`, its columns in two blocks: what is one for all
//! interests is computed once. A user who has fewer than `K` interests has the first one in the others' place.

use candle_core::{Result, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::kernels::bag::Bags;
use crate::kernels::routing::{self, Batch};
use crate::kernels::tape::Tape;
use crate::model::init::{Init, normal};
use crate::model::recipe::{Capsules, Logits};
use crate::model::{Parameters, parameter, product};

/// Where routing starts, `[K, L]`.
pub(crate) const LOGITS: &str = "capsule.logits";

/// First values; `hidden` is the width of the hidden layer's sums.
pub(crate) fn init(
    capsules: &Capsules,
    dim: usize,
    hidden: usize,
    length: usize,
    init: &mut Init<'_>,
) -> Result<()> {
    init.matrix("capsule.map.weight", dim, dim)?;
    init.matrix("mlp.capsule.weight", hidden, dim)?;
    if capsules.positions {
        init.table("capsule.position", length, dim, 0)?;
    }
    let logits: Vec<f32> = match capsules.logits {
        Logits::Noise(spread) | Logits::Redrawn(spread) => (0..capsules.interests * length)
            .map(|_| spread * normal(&mut init.rng))
            .collect(),
        Logits::Bands(strength) => bands(capsules.interests, length, strength),
    };
    init.put(LOGITS, logits, &[capsules.interests, length])
}

/// `strength` where an age is in the interest's band; the bands part `ln(1 + age)` evenly, the first has the newest.
fn bands(interests: usize, length: usize, strength: f32) -> Vec<f32> {
    let band = |age: usize| {
        let share = ((1 + age) as f32).ln() / ((1 + length) as f32).ln();
        ((interests as f32 * share) as usize).min(interests - 1)
    };
    let of_interest =
        |interest| (0..length).map(move |age| if band(age) == interest { strength } else { 0.0 });
    (0..interests).flat_map(of_interest).collect()
}

/// The histories of a batch, ready to be routed.
pub(crate) fn batch(capsules: &Capsules, bags: &Bags) -> Batch {
    let active = bags.iter().map(|ids| capsules.active(ids.len()));
    Batch {
        active: active.collect(),
        bags: bags.clone(),
        interests: capsules.interests,
    }
}

/// The capsules `[users * K, d]`, not yet through the hidden layer.
///
/// `items` is the item table, `[rows, d]`; `redraw` is the seed of the noise that training draws.
pub(crate) fn route(
    tape: &Tape,
    capsules: &Capsules,
    parameters: &Parameters,
    items: &Tensor,
    batch: &Batch,
    redraw: Option<u64>,
) -> Result<Tensor> {
    let (mapped, positions) = mapped(tape, capsules, parameters, items)?;
    let start = start(capsules, parameter(parameters, LOGITS)?, batch, redraw)?;
    let weights = routing::weights(&mapped, &positions, batch, start, capsules.iterations)?;
    routing::capsules(tape, &mapped, &positions, batch, weights)
}

/// The item table and the positions `[L, d]`, both through the bilinear map.
pub(crate) fn mapped(
    tape: &Tape,
    capsules: &Capsules,
    parameters: &Parameters,
    items: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let map = |x: &Tensor| product(tape, parameters, "capsule.map", x);
    let items = map(items)?;
    let positions = match capsules.positions {
        true => map(parameter(parameters, "capsule.position")?)?,
        false => {
            let shape = (parameter(parameters, LOGITS)?.dim(1)?, items.dim(1)?);
            Tensor::zeros(shape, items.dtype(), items.device())?
        }
    };
    Ok((items, positions))
}

/// Each event's first logits, `[events, K]`.
fn start(
    capsules: &Capsules,
    logits: &Tensor,
    batch: &Batch,
    redraw: Option<u64>,
) -> Result<Vec<f32>> {
    let events = |ids: &[u32]| (0..ids.len()).rev();
    if let (Logits::Redrawn(spread), Some(seed)) = (capsules.logits, redraw) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let count: usize = batch.bags.iter().map(<[u32]>::len).sum();
        let draws = (0..count * capsules.interests).map(|_| spread * normal(&mut rng));
        return Ok(draws.collect());
    }
    let by_age = logits.t()?.to_vec2::<f32>()?;
    let ages = batch.bags.iter().flat_map(events);
    Ok(ages.flat_map(|age| by_age[age].iter().copied()).collect())
}

/// Puts a user's first interest in the place of those that the user does not have; `rows` is `[users, K, d]`.
pub(crate) fn repeat_first(rows: &mut [f32], active: &[u32], interests: usize) {
    let size = rows.len() / active.len().max(1);
    let width = size / interests;
    for (user, &active) in rows.chunks_exact_mut(size.max(1)).zip(active) {
        let (first, others) = user.split_at_mut(width);
        let absent = others.chunks_exact_mut(width).skip(active as usize - 1);
        absent.for_each(|row| row.copy_from_slice(first));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_widen_with_the_age_and_cover_every_age_once() {
        let logits = bands(5, 50, 2.0);
        let sizes: Vec<usize> = logits
            .chunks(50)
            .map(|ages| ages.iter().filter(|&&logit| logit == 2.0).count())
            .collect();
        assert_eq!(sizes, [2, 2, 6, 13, 27]);
        assert_eq!(logits[0], 2.0);
        assert_eq!(logits[249], 2.0);
    }

    #[test]
    fn absent_interests_are_the_first_again() {
        let mut rows = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        repeat_first(&mut rows, &[1, 3], 3);
        assert_eq!(rows, [1.0, 1.0, 1.0, 4.0, 5.0, 6.0]);
        repeat_first(&mut rows[3..], &[2], 3);
        assert_eq!(rows[3..], [4.0, 5.0, 4.0]);
    }
}
