//! The YouTubeDNN user tower's graph; equations and parameters in [`crate::model::youtubednn`].

use crate::{
    export::{
        error::Error,
        signature::{self, HISTORY_ITEM, USER},
        weights::{affine, weight},
    },
    graph::Graph,
    model::{recipe::YouTubeDnn, trained::Trained},
};

/// Builds the user tower; padding needs no mask, because its row of the table is zero.
pub(super) fn graph(trained: &Trained, tower: &YouTubeDnn) -> Result<Graph, Error> {
    let mut graph = Graph::new("user_tower");
    let mut parts = Vec::new();
    for feature in &tower.user_features {
        let ids = graph.input_ids(&signature::tensor("user", feature), &[]);
        let name = format!("user.{feature}");
        let table = graph.constant(&name, &weight(trained, &name)?);
        parts.push(graph.gather(&table, &ids));
    }
    let ids = graph.input_ids(HISTORY_ITEM, &[trained.recipe.history]);
    let table = graph.constant("item.id", &weight(trained, "item.id")?);
    let rows = graph.gather(&table, &ids);
    parts.push(graph.reduce_sum(&rows, 1));
    let all = graph.concat(&parts.iter().collect::<Vec<_>>(), 1);
    let hidden = affine(&mut graph, trained, "mlp.0", &all)?;
    let hidden = graph.relu(&hidden);
    let user = affine(&mut graph, trained, "mlp.1", &hidden)?;
    graph.output(&user, USER, &[tower.dim]);
    Ok(graph)
}
