//! Makes a shard's graph and items files from its rows.

use std::{fs::File, path::Path};

use crate::{
    error::Error,
    hnsw::{Hnsw, HnswConfig},
    items::Items,
    rows::RowsView,
};

/// A graph over other rows, of which that over these can be made.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// The graph's file, whose bytes were hashed.
    pub graph: &'a File,
    /// Its rows.
    pub count: usize,
    /// For each new row which of its rows has the same vector, ascending.
    pub rows: &'a [Option<usize>],
}

/// Builds the graph over `rows`, out of the one `before` if there is one, into `graph_path`, and writes `items` into `items_path`.
///
/// `progress` is told how many more rows are in the graph, from any thread. The files are not
/// synced; publishing does that.
///
/// # Shapes
/// - `rows`: `n`, ids strictly ascending; `items`: `n`, the bytes to keep of each row's item
///
/// # Errors
/// [`Error::Vector`] names the first row that is zero or not finite, [`Error::Order`] the first
/// whose id is not greater than the one before. Nothing is written then.
pub fn build(
    rows: RowsView<'_>,
    items: &[impl AsRef<[u8]>],
    config: &HnswConfig,
    before: Option<Before<'_>>,
    graph_path: &Path,
    items_path: &Path,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<(), Error> {
    if items.len() != rows.len() {
        return Err(Error::mismatch(
            "items",
            "number of items",
            items.len(),
            rows.len(),
        ));
    }
    rows.check_ids()?;
    rows.check_vectors()?;
    let graph = match before {
        None => Hnsw::build(rows, config, progress),
        Some(Before {
            graph,
            count,
            rows: before,
        }) => Hnsw::rebuild(graph, count, before, rows, config, progress),
    };
    graph?.save(graph_path)?;
    Items::write(items_path, items)
}
