//! Makes a shard's graph and items files from its rows.

use std::path::Path;

use crate::{
    error::Error,
    hnsw::{Hnsw, HnswConfig},
    items::Items,
    rows::RowsView,
};

/// Builds the graph over `rows` into `graph_path`, and writes `items` into `items_path`.
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
    Hnsw::build(rows, config, progress)?.save(graph_path)?;
    Items::write(items_path, items)
}
