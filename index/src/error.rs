//! What can go wrong with a shard's rows, graph, items, cells or a query.

use std::{io, path::PathBuf};

/// Why a shard cannot be built, opened or searched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A row's vector is not finite, or is zero.
    #[error(
        "row {row} (item {id}) has a vector whose squared length is {length}, it must be finite and greater than 0"
    )]
    Vector {
        /// The row.
        row: usize,
        /// The item's id.
        id: u64,
        /// The squared length found.
        length: f32,
    },
    /// A row's number cannot be rounded to 16 bits.
    #[error(
        "row {row} (item {id}) has the number {value}, in f16 it must be finite: at most 65504 on either side of 0"
    )]
    Half {
        /// The row.
        row: usize,
        /// The item's id.
        id: u64,
        /// The number found.
        value: f32,
    },
    /// Rounding to 16 bits would make another vector of a row.
    #[error(
        "row {row} (item {id}) would be {off:.4} of its length away in f16, at most 0.001 is allowed: its numbers are too small"
    )]
    Coarse {
        /// The row.
        row: usize,
        /// The item's id.
        id: u64,
        /// How far, in its length.
        off: f64,
    },
    /// An item id is not greater than the one before it.
    #[error("row {row} has item id {id}, which is not greater than {previous} of the row before")]
    Order {
        /// The row.
        row: usize,
        /// Its id.
        id: u64,
        /// The id of the row before.
        previous: u64,
    },
    /// Queries are not one or more vectors of the shard's dimension.
    #[error("queries have {found} numbers, the shard has vectors of {dim}")]
    QueryLength {
        /// Numbers found.
        found: usize,
        /// The shard's dimension.
        dim: usize,
    },
    /// A query is not finite, or is zero.
    #[error("query {query} has squared length {length}, it must be finite and greater than 0")]
    Query {
        /// The query.
        query: usize,
        /// The squared length found.
        length: f32,
    },
    /// The ids to leave out are not strictly ascending.
    #[error("excluded id {id} at {at} is not greater than {previous} before it")]
    Exclude {
        /// The position.
        at: usize,
        /// The id there.
        id: u64,
        /// The id before it.
        previous: u64,
    },
    /// A delta comes out of order.
    #[error("delta {found} comes after {last}, it must be greater")]
    Delta {
        /// The delta's number.
        found: u64,
        /// The number of the last.
        last: u64,
    },
    /// A fresh item's vector has another length than the shard's.
    #[error("fresh item {id} has a vector of {found} numbers, the shard has vectors of {dim}")]
    UpsertLength {
        /// The item's id.
        id: u64,
        /// Numbers found.
        found: usize,
        /// The shard's dimension.
        dim: usize,
    },
    /// A fresh item's vector is not finite, or is zero.
    #[error(
        "fresh item {id} has a vector whose squared length is {length}, it must be finite and greater than 0"
    )]
    Upsert {
        /// The item's id.
        id: u64,
        /// The squared length found.
        length: f32,
    },
    /// The shard cannot be seen as of a number.
    #[error("the shard cannot be searched as of delta {asked}, only of {first} to {last}")]
    AsOf {
        /// The number asked for.
        asked: u64,
        /// The delta that the shard was built with.
        first: u64,
        /// The last delta taken up.
        last: u64,
    },
    /// Two parts of a shard disagree.
    #[error("{part}: {what} is {found}, expected {expected}")]
    Mismatch {
        /// Rows, graph, items or cells.
        part: &'static str,
        /// What disagrees.
        what: &'static str,
        /// The value found.
        found: String,
        /// The value expected.
        expected: String,
    },
    /// The graph library refused an operation.
    #[error("usearch cannot {operation}: {cause}")]
    Graph {
        /// What was asked.
        operation: &'static str,
        /// The library's words.
        cause: String,
    },
}

impl Error {
    /// An [`Error::Mismatch`] with both values as text.
    pub(crate) fn mismatch(
        part: &'static str,
        what: &'static str,
        found: impl ToString,
        expected: impl ToString,
    ) -> Self {
        Self::Mismatch {
            part,
            what,
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }
}
