//! One usearch graph over the rows of a shard: built, saved, and viewed where the file is mapped.
//!
//! Nodes are named by their row. usearch checks the lengths of a file it views, not its content, so
//! a file must have been hashed before it comes here; and it neither bounds `k` nor waits when more
//! threads search than it has room for, so both is done here. A graph never grows once it is viewed.

mod lift;

use std::{
    fs::File,
    io,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use memmap2::Mmap;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use crate::{error::Error, permits::Permits, rows::RowsView};
use lift::Lift;

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
    /// Builds a graph over `rows`, whose vectors must be finite and not zero.
    ///
    /// Several threads add rows, so two graphs of the same rows may differ. `progress` is told how
    /// many more rows are in, from any thread.
    ///
    /// # Errors
    /// [`Error::Graph`] if usearch refuses a setting or a row.
    pub fn build(
        rows: RowsView<'_>,
        config: &HnswConfig,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, Error> {
        Self::build_as(rows, None, config, progress)
    }

    /// Builds a graph for dot products as [`Hnsw::build`] does, over rows made equal in length by one number more. Whether it
    /// finds more than the other depends on the rows.
    ///
    /// # Errors
    /// As [`Hnsw::build`].
    pub fn build_lifted(
        rows: RowsView<'_>,
        config: &HnswConfig,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, Error> {
        Self::build_as(rows, Some(Lift::of(rows)), config, progress)
    }

    fn build_as(
        rows: RowsView<'_>,
        lift: Option<Lift>,
        config: &HnswConfig,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, Error> {
        let threads = threads(config.threads);
        let index = new_index(rows.dim() + usize::from(lift.is_some()), config)?;
        reserve(&index, rows.len(), threads)?;
        let all: Vec<usize> = (0..rows.len()).collect();
        add(&index, rows, lift, &all, threads, progress)?;
        Self::finish(index, None, rows.len(), rows.dim(), threads)
    }

    /// Builds a graph over `rows` out of that of other rows, from a file whose bytes were hashed.
    ///
    /// Only what differs is taken out and added, so it costs as much as that. What is taken out may leave the graph a little
    /// worse than one that was built anew. A lifted one is built anew where a row is longer than all that it had.
    ///
    /// # Shapes
    /// - `before`: for each row which row of the other graph has the same vector, ascending; `count`: the rows of that graph
    ///
    /// # Errors
    /// As [`Hnsw::build`] and [`Hnsw::view`].
    pub fn rebuild(
        file: &File,
        count: usize,
        before: &[Option<usize>],
        rows: RowsView<'_>,
        config: &HnswConfig,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, Error> {
        let threads = threads(config.threads);
        let index = new_index(rows.dim(), config)?;
        let map = map(file)?;
        index.load_from_buffer(&map).map_err(graph("load"))?;
        check_metric(&index, config.metric)?;
        let Self { index, lifted, .. } = Self::finish(index, None, count, rows.dim(), threads)?;
        let lift = match lifted {
            false => None,
            true => match lift_of(&index, before, rows)?.filter(|lift| lift.holds(rows)) {
                Some(lift) => Some(lift),
                None => return Self::build_lifted(rows, config, progress),
            },
        };
        index.change_expansion_add(config.expansion_add);
        reserve(&index, count.max(rows.len()), threads)?;
        rename(&index, count, before)?;
        let new = |row: &usize| before[*row].is_none();
        let new: Vec<usize> = (0..rows.len()).filter(new).collect();
        progress(rows.len() - new.len());
        add(&index, rows, lift, &new, threads, progress)?;
        Self::finish(index, None, rows.len(), rows.dim(), threads)
    }

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

/// By how much the rows of a graph are lifted; none if it has none of these.
fn lift_of(
    index: &Index,
    before: &[Option<usize>],
    rows: RowsView<'_>,
) -> Result<Option<Lift>, Error> {
    let known = before.iter().enumerate();
    let Some((row, old)) = known.filter_map(|(row, old)| Some((row, (*old)?))).next() else {
        return Ok(None);
    };
    let mut lifted = vec![0.0; rows.dim() + 1];
    let found = index
        .get(old as u64, &mut lifted)
        .map_err(graph("read a row"))?;
    Ok((found == 1).then(|| Lift::by(rows.row(row), &lifted)))
}

/// Adds some of the rows, lifted if they are to be, from several threads.
fn add(
    index: &Index,
    rows: RowsView<'_>,
    lift: Option<Lift>,
    some: &[usize],
    threads: usize,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<(), Error> {
    let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
    let add_rows = || {
        while let Some(&row) = some.get(next.fetch_add(1, Ordering::Relaxed)) {
            let added = match lift {
                Some(lift) => index.add(row as u64, &lift.row(rows.row(row))),
                None => index.add(row as u64, rows.row(row)),
            };
            if let Err(cause) = added {
                let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(cause);
                next.store(some.len(), Ordering::Relaxed);
                return;
            }
            progress(1);
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(add_rows);
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(cause) => Err(graph("add a row")(cause)),
        None => Ok(()),
    }
}

/// Names the nodes of `count` rows by the new rows, and takes out those that are no row any more.
fn rename(index: &Index, count: usize, before: &[Option<usize>]) -> Result<(), Error> {
    let mut kept = vec![false; count];
    // By way of names that are no rows, for a new one may still be the old one of another node.
    let aside = |row: usize| row as u64 | 1 << 63;
    let moved = before.iter().enumerate();
    let moved = moved.filter_map(|(row, old)| Some(((*old)?, row)));
    let moved: Vec<(usize, usize)> = moved.collect();
    for (old, row) in &moved {
        kept[*old] = true;
        if old != row {
            let found = index.rename(*old as u64, aside(*row));
            found.map_err(graph("rename a row"))?;
        }
    }
    for (old, _) in kept.iter().enumerate().filter(|(_, kept)| !**kept) {
        index.remove(old as u64).map_err(graph("remove a row"))?;
    }
    for (old, row) in &moved {
        if old != row {
            let found = index.rename(aside(*row), *row as u64);
            found.map_err(graph("rename a row"))?;
        }
    }
    Ok(())
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

fn threads(configured: usize) -> usize {
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
