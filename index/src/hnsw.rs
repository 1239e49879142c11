//! One usearch graph over the rows of a shard: built, saved, and viewed where the file is mapped.
//!
//! Nodes are named by their row. usearch checks the lengths of a file it views, not its content, so
//! a file must have been hashed before it comes here; and it neither bounds `k` nor waits when more
//! threads search than it has room for, so both is done here. A graph never grows once it is viewed.

mod build;
mod lift;

use std::{fs::File, io, path::Path, thread};

use memmap2::Mmap;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use crate::{error::Error, permits::Permits};

/// The version of usearch that this code builds and reads graphs with.
pub fn version() -> &'static str {
    usearch::version()
}

/// What neighbours are near by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The dot product.
    Dot,
    /// The cosine.
    Cosine,
}

/// How a graph is built and walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HnswConfig {
    /// What neighbours are near by.
    pub metric: Metric,
    /// Neighbours a node.
    pub connectivity: usize,
    /// Candidates looked at while a node is added.
    pub expansion_add: usize,
    /// Candidates looked at while searching; a search for more looks at as many as it wants.
    pub expansion_search: usize,
    /// Threads that build, and that may search at once; 0 means one a core.
    pub threads: usize,
}

impl Default for HnswConfig {
    fn default() -> Self {
        Self {
            metric: Metric::Cosine,
            connectivity: 32,
            expansion_add: 256,
            expansion_search: 256,
            threads: 0,
        }
    }
}

/// A graph.
pub struct Hnsw {
    /// Declared before the map it may point into, so that it is dropped first.
    index: Index,
    _map: Option<Mmap>,
    permits: Permits,
    rows: usize,
    dim: usize,
    /// Whether its vectors have one number more.
    lifted: bool,
}

impl Hnsw {
    /// Writes the graph to `path`.
    ///
    /// # Errors
    /// [`Error::Graph`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let name = path.to_str().ok_or_else(|| Error::Io {
            path: path.to_owned(),
            source: io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8"),
        })?;
        self.index.save(name).map_err(graph("save"))
    }

    /// Maps the graph of `rows` rows of `dim` numbers from a file whose bytes were hashed.
    ///
    /// # Errors
    /// [`Error::Graph`] if usearch refuses it, [`Error::Mismatch`] if it is a graph of other rows.
    pub fn view(file: &File, rows: usize, dim: usize, config: &HnswConfig) -> Result<Self, Error> {
        let map = map(file)?;
        let index = new_index(dim, config)?;
        view_map(&index, &map)?;
        check_metric(&index, config.metric)?;
        let threads = threads(config.threads);
        reserve(&index, rows, threads)?;
        index.change_expansion_search(config.expansion_search);
        Self::finish(index, Some(map), rows, dim, threads)
    }

    /// Sets how many candidates a search looks at; one for more looks at as many as it wants.
    pub fn set_effort(&mut self, expansion_search: usize) {
        self.index.change_expansion_search(expansion_search);
    }

    /// Returns up to `k` rows near `query`, nearest first.
    ///
    /// Waits while as many threads search as the graph has room for.
    ///
    /// # Errors
    /// [`Error::Graph`] if usearch refuses the search, [`Error::Mismatch`] if it answers a row
    /// that does not exist.
    pub fn search(&self, query: &[f32], k: usize) -> Result<Vec<usize>, Error> {
        let k = k.min(self.rows);
        if k == 0 {
            return Ok(Vec::new());
        }
        let found = {
            let _permit = self.permits.take();
            let found = match self.lifted {
                true => self.index.search(&lift::query(query), k),
                false => self.index.search(query, k),
            };
            found.map_err(graph("search"))?
        };
        found.keys.into_iter().map(|key| self.row(key)).collect()
    }

    fn row(&self, key: u64) -> Result<usize, Error> {
        match usize::try_from(key) {
            Ok(row) if row < self.rows => Ok(row),
            _ => Err(Error::mismatch(
                "graph",
                "row",
                key,
                format!("below {}", self.rows),
            )),
        }
    }

    fn finish(
        index: Index,
        map: Option<Mmap>,
        rows: usize,
        dim: usize,
        threads: usize,
    ) -> Result<Self, Error> {
        let is = |what, found: usize, expected: usize| match found == expected {
            true => Ok(()),
            false => Err(Error::mismatch("graph", what, found, expected)),
        };
        is("number of rows", index.size(), rows)?;
        let lifted = index.metric_kind() == MetricKind::IP && index.dimensions() == dim + 1;
        is("dimension", index.dimensions() - usize::from(lifted), dim)?;
        Ok(Self {
            lifted,
            index,
            _map: map,
            permits: Permits::new(threads),
            rows,
            dim,
        })
    }
}

impl std::fmt::Debug for Hnsw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hnsw")
            .field("rows", &self.rows)
            .field("dim", &self.dim)
            .finish_non_exhaustive()
    }
}

/// Makes room for so many rows, and for so many threads at once.
fn reserve(index: &Index, rows: usize, threads: usize) -> Result<(), Error> {
    let reserved = index.reserve_capacity_and_threads(rows, threads);
    reserved.map_err(graph("reserve"))
}

fn new_index(dim: usize, config: &HnswConfig) -> Result<Index, Error> {
    Index::new(&IndexOptions {
        dimensions: dim,
        metric: metric_kind(config.metric),
        quantization: ScalarKind::F32,
        connectivity: config.connectivity,
        expansion_add: config.expansion_add,
        expansion_search: config.expansion_search,
        multi: false,
    })
    .map_err(graph("make an index"))
}

fn metric_kind(metric: Metric) -> MetricKind {
    match metric {
        Metric::Dot => MetricKind::IP,
        Metric::Cosine => MetricKind::Cos,
    }
}

fn check_metric(index: &Index, expected: Metric) -> Result<(), Error> {
    let known = [Metric::Dot, Metric::Cosine];
    let found = known
        .into_iter()
        .find(|metric| metric_kind(*metric) == index.metric_kind());
    if found == Some(expected) {
        return Ok(());
    }
    let found = found.map_or_else(|| "another".to_owned(), |metric| format!("{metric:?}"));
    Err(Error::mismatch(
        "graph",
        "metric",
        found,
        format!("{expected:?}"),
    ))
}

/// How many threads a setting means: 0 is one a core.
pub(crate) fn threads(configured: usize) -> usize {
    match configured {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}

fn graph<C: std::fmt::Display>(operation: &'static str) -> impl FnOnce(C) -> Error {
    move |cause| Error::Graph {
        operation,
        cause: cause.to_string(),
    }
}

#[expect(unsafe_code, reason = "mapping a file is unsafe")]
fn map(file: &File) -> Result<Mmap, Error> {
    // SAFETY: a published file is never written or truncated, only unlinked, which leaves the map
    // whole.
    unsafe { Mmap::map(file) }.map_err(|source| Error::Io {
        path: "graph".into(),
        source,
    })
}

#[expect(unsafe_code, reason = "usearch keeps a pointer into the map")]
fn view_map(index: &Index, map: &Mmap) -> Result<(), Error> {
    // SAFETY: `Hnsw` keeps the map for as long as the index, which it drops first; a map does not
    // move when its owner does. usearch only reads a view that is never added to.
    unsafe { index.view_from_buffer(map) }.map_err(graph("view"))
}
