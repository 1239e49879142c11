//! One shard, opened from its files: searches it and reads its items.

use std::fs::File;

pub use crate::rows::RowsView;
use crate::{
    dot::Scorer,
    error::Error,
    exact,
    hit::Hit,
    hnsw::{Hnsw, HnswConfig},
    items::Items,
    plan::{self, Plan},
    rows::unusable,
    top::Top,
};

/// Rows that a shard owns, wherever they are.
pub trait Rows: Send + Sync {
    /// Borrows the rows; every call returns the same.
    fn view(&self) -> RowsView<'_>;
}

/// How a shard is searched.
#[derive(Clone, Debug)]
pub struct Options {
    /// Shards with fewer rows are always scanned.
    pub exact_below: usize,
    /// How the graph is walked; what it was built with does not matter here.
    pub hnsw: HnswConfig,
}

/// A shard.
#[derive(Debug)]
pub struct Shard<R: Rows> {
    rows: R,
    graph: Hnsw,
    items: Items,
    exact_below: usize,
}

/// What a search found, and in how much.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// `min(k, eligible)` hits, best first, none of them excluded.
    pub hits: Vec<Hit>,
    /// Rows that were not excluded.
    pub eligible: u64,
    /// Eligible rows that were compared, or are in the graph that was walked.
    pub searched: u64,
    /// Whether every row was compared.
    pub exact: bool,
}

/// An item as the index builder stored it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredItem<'a> {
    /// The item's id.
    pub id: u64,
    /// The item's bytes.
    pub bytes: &'a [u8],
}

impl Default for Options {
    fn default() -> Self {
        Self {
            exact_below: 20_000,
            hnsw: HnswConfig::default(),
        }
    }
}

impl<R: Rows> Shard<R> {
    /// Opens a shard from rows, graph and items whose bytes were hashed.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if they do not belong together, [`Error::Order`] if ids do not ascend,
    /// [`Error::Vector`] if a vector is zero or not finite.
    pub fn open(rows: R, graph: File, items: File, options: &Options) -> Result<Self, Error> {
        let view = rows.view();
        view.check_ids()?;
        view.check_vectors()?;
        let items = Items::map(&items)?;
        if items.len() != view.len() {
            return Err(Error::mismatch(
                "items",
                "number of items",
                items.len(),
                view.len(),
            ));
        }
        let graph = Hnsw::view(&graph, view.len(), view.dim(), &options.hnsw)?;
        Ok(Self {
            rows,
            graph,
            items,
            exact_below: options.exact_below,
        })
    }

    /// Finds the best `k` items that are not in `exclude`, by the greatest score over the queries.
    ///
    /// Scores are dot products of the rows as they are, the same whichever way was searched. With
    /// `exact`, or where the plan says so, every row is compared; so it is when the graph comes up
    /// with fewer than `min(k, eligible)`.
    ///
    /// # Shapes
    /// - `queries`: `[q, dim]`, `q` at least 1; `exclude`: strictly ascending
    ///
    /// # Errors
    /// If the queries or the excluded ids are not like that, or a query is zero or not finite.
    pub fn search(
        &self,
        queries: &[f32],
        k: usize,
        exclude: &[u64],
        exact: bool,
    ) -> Result<Found, Error> {
        let rows = self.rows.view();
        check_queries(queries, rows.dim())?;
        check_exclude(exclude)?;
        let excluded = exclude
            .iter()
            .filter(|id| rows.ids().binary_search(id).is_ok())
            .count();
        let eligible = rows.len() - excluded;
        let k = k.min(eligible);
        let walked = match plan::choose(rows.len(), k, excluded, self.exact_below) {
            Plan::Ann { fetch } if !exact => self.walk(queries, k, fetch, exclude)?,
            _ => None,
        };
        Ok(Found {
            exact: walked.is_none(),
            hits: walked.unwrap_or_else(|| exact::scan(rows, queries, k, exclude)),
            eligible: eligible as u64,
            searched: eligible as u64,
        })
    }

    /// Reads an item; `None` if the shard has none of that id.
    ///
    /// # Errors
    /// Never while items are mapped; callers are ready for shards that fetch them.
    pub fn item(&self, id: u64) -> Result<Option<StoredItem<'_>>, Error> {
        let row = self.rows.view().ids().binary_search(&id).ok();
        Ok(row.map(|row| StoredItem {
            id,
            bytes: self.items.get(row),
        }))
    }

    /// The shard's rows.
    pub fn rows(&self) -> RowsView<'_> {
        self.rows.view()
    }

    /// How many items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Walks the graph for every query and scores what comes up with all of them; `None` if that
    /// is fewer than `k`.
    fn walk(
        &self,
        queries: &[f32],
        k: usize,
        fetch: usize,
        exclude: &[u64],
    ) -> Result<Option<Vec<Hit>>, Error> {
        let view = self.rows.view();
        let mut candidates = Vec::new();
        for query in queries.chunks_exact(view.dim()) {
            candidates.extend(self.graph.search(query, fetch)?);
        }
        candidates.sort_unstable();
        candidates.dedup();
        let mut top = Top::new(k, exclude);
        let scorer = Scorer::new(queries, view.dim());
        let mut scores = scorer.room();
        for row in candidates {
            scorer.score(view.row(row), &mut scores);
            top.offer(exact::hit(view.ids()[row], &scores, 0));
        }
        let hits = top.into_hits();
        Ok((hits.len() == k).then_some(hits))
    }
}

fn check_queries(queries: &[f32], dim: usize) -> Result<(), Error> {
    if queries.is_empty() || !queries.len().is_multiple_of(dim) {
        return Err(Error::QueryLength {
            found: queries.len(),
            dim,
        });
    }
    for (query, vector) in queries.chunks_exact(dim).enumerate() {
        if let Some(length) = unusable(vector) {
            return Err(Error::Query { query, length });
        }
    }
    Ok(())
}

fn check_exclude(exclude: &[u64]) -> Result<(), Error> {
    match exclude.windows(2).position(|pair| pair[0] >= pair[1]) {
        None => Ok(()),
        Some(before) => Err(Error::Exclude {
            at: before + 1,
            id: exclude[before + 1],
            previous: exclude[before],
        }),
    }
}
