//! Makes a shard's graph, items and cells files from its rows.

use std::{fs::File, path::Path};

use crate::{
    cells::Cells,
    error::Error,
    exact,
    hnsw::{Hnsw, HnswConfig, Metric},
    items::Items,
    rows::RowsView,
};

/// Rows that a graph for dot products is asked for, neighbours of each, candidates looked at, and the share to find.
const SAMPLE: usize = 100;
const NEIGHBOURS: usize = 100;
const EFFORT: usize = 1_024;
const ENOUGH: f64 = 0.99;

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
        None => best(rows, config, progress),
        Some(Before {
            graph,
            count,
            rows: before,
        }) => Hnsw::rebuild(graph, count, before, rows, config, progress),
    };
    graph?.save(graph_path)?;
    Items::write(items_path, items)
}

/// Divides the rows into cells, by so many threads (0 means one a core), and writes them into `path`; returns whether it did: of few
/// rows all are in one cell, and nothing is written.
///
/// The same rows make the same bytes. The file is not synced; publishing does that.
///
/// # Errors
/// [`Error::Vector`] names the first row that is zero or not finite; [`Error::Io`] if the file cannot be written.
pub fn cells(rows: RowsView<'_>, threads: usize, path: &Path) -> Result<bool, Error> {
    rows.check_vectors()?;
    let divides = Cells::divides(rows.len());
    if divides {
        Cells::new(rows, threads).write(path)?;
    }
    Ok(divides)
}

/// Builds the graph; where rows are of unequal length and one of them as they are finds too little near the rows themselves, also
/// one of them lifted. Returns the one that finds more.
fn best(
    rows: RowsView<'_>,
    config: &HnswConfig,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Hnsw, Error> {
    let mut graph = Hnsw::build(rows, config, progress)?;
    if config.metric == Metric::Cosine {
        return Ok(graph);
    }
    let found = recall(&mut graph, rows)?;
    if found >= ENOUGH {
        return Ok(graph);
    }
    let mut lifted = Hnsw::build_lifted(rows, config, &|_| {})?;
    match recall(&mut lifted, rows)? > found {
        true => Ok(lifted),
        false => Ok(graph),
    }
}

/// The share of the true neighbours of some rows that the graph finds; with fewer of them where the shard is small.
fn recall(graph: &mut Hnsw, rows: RowsView<'_>) -> Result<f64, Error> {
    graph.set_effort(EFFORT);
    let k = NEIGHBOURS.min(rows.len() / 10).max(1);
    let (mut found, mut wanted) = (0, 0);
    for row in (0..rows.len()).step_by(rows.len().div_ceil(SAMPLE).max(1)) {
        let query = rows.row(row);
        let last = exact::scan(rows, &query, k, &[]).pop();
        let last = last.map_or(f32::INFINITY, |hit| hit.score);
        let near = graph.search(&query, k)?.into_iter();
        found += exact::rank(rows, near, &query, k)
            .iter()
            .filter(|hit| hit.score >= last)
            .count();
        wanted += k;
    }
    Ok(found as f64 / wanted.max(1) as f64)
}
