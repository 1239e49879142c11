//! The YouTubeDNN user tower's graph; equations and parameters in [`crate::model::youtubednn`].
//!
//! What does not depend on the user is baked in: item rows with their features, transformed or projected already, and the row of
//! age 0, which becomes a part of the hidden layer's bias.

mod history;

use crate::{
    export::{
        error::Error,
        signature::{self, USER},
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
    let hidden = hidden(&mut graph, trained, tower, &z)?;
    let user = affine(&mut graph, trained, "mlp.1", &hidden)?;
    graph.output(&user, USER, &[tower.dim]);
    Ok(graph)
}

/// The hidden layer.
fn hidden(
    graph: &mut Graph,
    trained: &Trained,
    tower: &YouTubeDnn,
    z: &Edge,
) -> Result<Edge, Error> {
    let mut matrix = weight(trained, "mlp.0.weight")?;
    let mut bias = weight(trained, "mlp.0.bias")?;
    if !tower.example_age_edges.is_empty() {
        let age = youtubednn::age(tower, 0) as usize;
        let now = weight(trained, "example.age")?.rows(age..age + 1);
        matrix = fold(&matrix, &now.values, &mut bias);
    }
    let matrix = graph.constant("mlp.0.weight", &matrix);
    let bias = graph.constant("mlp.0.bias", &bias);
    let sums = graph.affine(z, &matrix, &bias);
    Ok(match tower.activation {
        Activation::Relu => graph.relu(&sums),
        Activation::SwiGlu => {
            let [left, right] = graph.split(&sums, 1, tower.hidden);
            let gate = graph.sigmoid(&left);
            let left = graph.mul(&left, &gate);
            graph.mul(&left, &right)
        }
    })
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
