//! The item tower's graph: an item's own row plus the rows of its features.

use crate::{
    export::{
        error::Error,
        signature::{self, ITEM},
        weights::weight,
    },
    graph::Graph,
    model::trained::Trained,
};

/// Builds `e(i)` of [`crate::model::attention`] and [`crate::model::youtubednn`] from the id and the raw features.
pub(super) fn graph(trained: &Trained) -> Result<Graph, Error> {
    let mut graph = Graph::new("item_tower");
    let ids = graph.input_ids(&signature::tensor("item", "id"), &[]);
    let table = graph.constant("item.id", &weight(trained, "item.id")?);
    let mut sum = graph.gather(&table, &ids);
    for feature in trained.recipe.item_features() {
        let name = format!("item.{feature}");
        let axes = signature::axes(trained, feature)?;
        let ids = graph.input_ids(&signature::tensor("item", feature), &axes);
        let table = graph.constant(&name, &weight(trained, &name)?);
        let rows = graph.gather(&table, &ids);
        let rows = if axes.is_empty() {
            rows
        } else {
            graph.reduce_sum(&rows, 1)
        };
        sum = graph.add(&sum, &rows);
    }
    graph.output(&sum, ITEM, &[trained.recipe.dim()]);
    Ok(graph)
}
