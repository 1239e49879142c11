//! Searching one shard: exact scan, HNSW, rows and items.
//!
//! A ground crate: it knows no network, no async, no user and no generation. A shard is item ids,
//! their vectors, a graph over them and the items themselves, in files that the caller has hashed.
//!
//! - [`shard`] opens the files and answers queries; [`plan`] chooses between the ways to search
//! - [`exact`] scans every row with the kernels of `dot`, `quantized` every row in 8 bits a number with the same answer;
//!   [`cells`] says which of those rows lie near; [`hnsw`] walks a usearch graph
//! - [`filter`] says which items may be returned, by their attributes
//! - [`tail`] holds what was put in and taken out since the shard was built
//! - [`items`] keeps the items' own bytes; [`build`] makes a shard's files
//! - [`hit`] the order of answers; [`rows`] vectors borrowed from wherever they are, as they are or rounded to 16 bits

pub mod build;
pub mod cells;
mod dot;
mod eligible;
pub mod error;
pub mod exact;
pub mod filter;
pub mod hit;
pub mod hnsw;
pub mod items;
mod permits;
pub mod plan;
mod quantized;
pub mod rows;
pub mod shard;
pub mod tail;
mod top;
