//! The YouTubeDNN user tower's graph; equations and parameters in [`crate::model::youtubednn`].
//!
//! What does not depend on the user is baked in: item rows with their features, transformed or projected already, and the row of
//! age 0, which becomes a part of the hidden layer's bias.

mod history;

use crate::{
    export::{
        capsules,
        error::Error,
        signature::{self, ATTENTION, HISTORY_ITEM, USER},
        weights::{affine, weight},
    },
    graph::{Edge, Graph, Weight},
    model::{
        recipe::{Activation, YouTubeDnn},
        trained::Trained,
        youtubednn,
    },
};

/// Builds the user tower.
pub(super) fn graph(trained: &Trained, tower: &YouTubeDnn) -> Result<Graph, Error> {
    let mut graph = Graph::new("user_tower");
    let mut inputs = Vec::new();
    for feature in &tower.user_features {
        let ids = graph.input_ids(&signature::tensor("user", feature), &[]);
        let name = format!("user.{feature}");
        let table = graph.constant(&name, &weight(trained, &name)?);
        inputs.push(graph.gather(&table, &ids));
    }
    inputs.push(history::pooled(&mut graph, trained, tower)?);
    let z = graph.concat(&inputs.iter().collect::<Vec<_>>(), 1);
    let sums = sums(&mut graph, trained, tower, &z)?;
    match &tower.capsules {
        None => {
            let user = out(&mut graph, trained, tower, &sums)?;
            graph.output(&user, USER, &[tower.dim]);
        }
        Some(recipe) => {
            let ids = graph.input(HISTORY_ITEM);
            let routed = capsules::route(&mut graph, trained, recipe, &ids)?;
            let sums = capsules::add_to(&mut graph, trained, &routed, &sums)?;
            let users = out(&mut graph, trained, tower, &sums)?;
            let shape = [recipe.interests, tower.dim];
            let users = graph.reshape(&users, &[-1, shape[0] as i64, shape[1] as i64]);
            let users = capsules::repeat_first(&mut graph, &routed, &users);
            graph.output(&users, USER, &shape);
            let axes = [recipe.interests, trained.recipe.history];
            graph.output(&routed.weights, ATTENTION, &axes);
        }
    }
    Ok(graph)
}

/// What goes into the hidden layer's activation.
fn sums(graph: &mut Graph, trained: &Trained, tower: &YouTubeDnn, z: &Edge) -> Result<Edge, Error> {
    let mut matrix = weight(trained, "mlp.0.weight")?;
    let mut bias = weight(trained, "mlp.0.bias")?;
    if !tower.example_age_edges.is_empty() {
        let age = youtubednn::age(tower, 0) as usize;
        let now = weight(trained, "example.age")?.rows(age..age + 1);
        matrix = fold(&matrix, &now.values, &mut bias);
    }
    let matrix = graph.constant("mlp.0.weight", &matrix);
    let bias = graph.constant("mlp.0.bias", &bias);
    Ok(graph.affine(z, &matrix, &bias))
}

/// What comes out of them, a row for each row.
fn out(
    graph: &mut Graph,
    trained: &Trained,
    tower: &YouTubeDnn,
    sums: &Edge,
) -> Result<Edge, Error> {
    let hidden = match tower.activation {
        Activation::Relu => graph.relu(sums),
        Activation::SwiGlu => {
            let [left, right] = graph.split(sums, 1, tower.hidden);
            let gate = graph.sigmoid(&left);
            let left = graph.mul(&left, &gate);
            graph.mul(&left, &right)
        }
    };
    affine(graph, trained, "mlp.1", &hidden)
}

/// Moves the last inputs of an affine map, which are always `input`, into its bias; returns the rest of its matrix.
fn fold(matrix: &Weight, input: &[f32], bias: &mut Weight) -> Weight {
    let (outputs, inputs) = (matrix.shape[0], matrix.shape[1]);
    let kept = inputs - input.len();
    let mut values = Vec::with_capacity(outputs * kept);
    for (row, bias) in matrix.values.chunks_exact(inputs).zip(&mut bias.values) {
        values.extend_from_slice(&row[..kept]);
        *bias += row[kept..]
            .iter()
            .zip(input)
            .map(|(w, x)| w * x)
            .sum::<f32>();
    }
    Weight {
        shape: vec![outputs, kept],
        values,
    }
}
