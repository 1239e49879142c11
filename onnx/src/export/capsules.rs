//! The capsules' part of the user tower's graph, its routing unrolled; equations in [`crate::model::capsules`].
//!
//! The item table is baked in mapped, so that serving multiplies nothing by the bilinear map. What is padding, and how many
//! interests a user has, is derived from the history's ids in the graph.

use crate::{
    export::{
        error::Error,
        weights::{self, number, weight},
    },
    graph::{Edge, Graph, Weight},
    kernels::{routing::EPSILON, tape::Tape},
    model::{
        capsules::{self, LOGITS},
        recipe::Capsules,
        trained::Trained,
    },
};

/// Added to the logit of an interest that a user does not have: its weight is then 0.
const ABSENT: f32 = -1e4;

/// A batch of routed histories.
pub(super) struct Routed {
    /// `[batch, K, d]`.
    pub(super) capsules: Edge,
    /// How much of each event went to each capsule at last, `[batch, K, L]`; 0 for padding.
    pub(super) weights: Edge,
    /// Whether the user has the interest, `[batch, K]`; only if that depends on the history.
    present: Option<Edge>,
}

/// Routes the histories `ids` `[batch, L]`, padded on the left.
pub(super) fn route(
    graph: &mut Graph,
    trained: &Trained,
    recipe: &Capsules,
    ids: &Edge,
) -> Result<Routed, Error> {
    let (mapped, positions) = capsules::mapped(
        &Tape::off(),
        recipe,
        &trained.parameters,
        &trained.item_table()?,
    )?;
    let mapped = graph.constant("capsule.items", &weights::of(&mapped)?);
    let positions = graph.constant("capsule.position", &weights::of(&positions)?.reversed());
    let x = graph.gather(&mapped, ids);
    let x = graph.add(&x, &positions);

    let padding = graph.id(0);
    let is_padding = graph.equal(ids, &padding);
    let (zero, one) = (
        graph.constant("capsule.zero", &number(0.0)),
        graph.constant("capsule.one", &number(1.0)),
    );
    let events = graph.choose(&is_padding, &zero, &one);
    let mask = graph.unsqueeze(&events, &[2]);
    let present = recipe.adaptive.then(|| present(graph, recipe, &events));

    let start = weight(trained, LOGITS)?.transposed().reversed();
    let mut logits = graph.constant(LOGITS, &start);
    if let Some(present) = &present {
        let absent = graph.constant("capsule.absent", &number(ABSENT));
        let hidden = graph.choose(present, &zero, &absent);
        let hidden = graph.unsqueeze(&hidden, &[1]);
        logits = graph.add(&logits, &hidden);
    }
    let epsilon = graph.constant("capsule.epsilon", &number(EPSILON));
    for iteration in 1.. {
        let weights = graph.softmax(&logits);
        let weights = graph.mul(&weights, &mask);
        let weights = graph.transpose(&weights, &[0, 2, 1]);
        let sums = graph.matmul(&weights, &x);
        let capsules = squash(graph, &sums, &one, &epsilon);
        if iteration == recipe.iterations {
            return Ok(Routed {
                capsules,
                weights,
                present,
            });
        }
        let columns = graph.transpose(&capsules, &[0, 2, 1]);
        let agreement = graph.matmul(&x, &columns);
        logits = graph.add(&logits, &agreement);
    }
    unreachable!("the recipe has at least one iteration")
}

/// Adds each capsule's part to the hidden layer's sums `[batch, h]`, which all interests share: `[batch * K, h]`.
pub(super) fn add_to(
    graph: &mut Graph,
    trained: &Trained,
    routed: &Routed,
    sums: &Edge,
) -> Result<Edge, Error> {
    let columns = weight(trained, "mlp.capsule.weight")?;
    let hidden = columns.shape[0] as i64;
    let columns = graph.constant("mlp.capsule.weight", &columns.transposed());
    let own = graph.matmul(&routed.capsules, &columns);
    let shared = graph.unsqueeze(sums, &[1]);
    let sums = graph.add(&own, &shared);
    Ok(graph.reshape(&sums, &[-1, hidden]))
}

/// Puts a user's first interest in the place of those that the user does not have: `[batch, K, d]`.
pub(super) fn repeat_first(graph: &mut Graph, routed: &Routed, interests: &Edge) -> Edge {
    let Some(present) = &routed.present else {
        return interests.clone();
    };
    let first = graph.id(0);
    let first = graph.pick(interests, &first, 1);
    let first = graph.unsqueeze(&first, &[1]);
    let present = graph.unsqueeze(present, &[2]);
    graph.choose(&present, interests, &first)
}

/// Interest `k` is there from `2^(k + 1)` events on, the first always.
fn present(graph: &mut Graph, recipe: &Capsules, events: &Edge) -> Edge {
    let least = (0..recipe.interests).map(|k| {
        if k == 0 {
            0.0
        } else {
            2.0_f32.powi(k as i32 + 1)
        }
    });
    let least = Weight {
        shape: vec![recipe.interests],
        values: least.collect(),
    };
    let least = graph.constant("capsule.events", &least);
    let count = graph.reduce_sum(events, 1);
    let count = graph.unsqueeze(&count, &[1]);
    graph.at_least(&count, &least)
}

/// `z |z| / (1 + |z|^2)` over the last axis.
fn squash(graph: &mut Graph, z: &Edge, one: &Edge, epsilon: &Edge) -> Edge {
    let squares = graph.mul(z, z);
    let square = graph.reduce_sum(&squares, 2);
    let square = graph.unsqueeze(&square, &[2]);
    let more = graph.add(&square, one);
    let root = graph.add(&square, epsilon);
    let root = graph.sqrt(&root);
    let below = graph.mul(&more, &root);
    let factor = graph.div(&square, &below);
    graph.mul(z, &factor)
}
