//! What is asked of a shard.

use crate::{error::Error, filter::Filter, rows::unusable};

/// A search.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// `[q, dim]`, `q` at least 1.
    pub vectors: &'a [f32],
    /// How many items.
    pub k: usize,
    /// Ids of items to leave out, strictly ascending.
    pub exclude: &'a [u64],
    /// What the items must be.
    pub filter: Option<&'a Filter>,
    /// Compare every row that may be returned.
    pub exact: bool,
    /// See the shard as it was at this delta; as it is, if none is named.
    pub as_of: Option<u64>,
    /// Find only items that came with deltas.
    pub fresh_only: bool,
    /// Look as hard as ever, whatever the tier.
    pub steady: bool,
}

impl<'a> Query<'a> {
    /// The best `k` of all items, by whichever way costs less.
    pub fn new(vectors: &'a [f32], k: usize) -> Self {
        Self {
            vectors,
            k,
            exclude: &[],
            filter: None,
            exact: false,
            as_of: None,
            fresh_only: false,
            steady: false,
        }
    }
}

impl Query<'_> {
    /// Refuses what no shard of `dim` numbers a vector can answer.
    pub(super) fn check(&self, dim: usize) -> Result<(), Error> {
        check_queries(self.vectors, dim)?;
        check_exclude(self.exclude)
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
