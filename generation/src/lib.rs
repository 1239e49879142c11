//! What is made together and served together: manifest, partition, placement, publish, open, CURRENT.
//!
//! A ground crate: it knows no model and no search, only files in a store and the pure functions that everybody must
//! agree on. A store is a directory, or what lies below a prefix of an S3 bucket; everything but the way there is one.
//!
//! - [`partition`] key to item id, item id to shard; [`placement`] shard to members, user to owner
//! - [`rows`] item ids and vectors, mapped; [`manifest`] what a generation consists of
//! - [`store`] where all lies: artifacts, generations, CURRENT and MEMBERS
//! - [`publish`] stages and commits a generation; [`open`] reads one, hashing before use;
//!   [`collect`] removes what CURRENT no longer names; [`traffic`] decides which generations answer, [`lease`] who needs one still
//! - [`deltas`] what changed in the catalog since, delta by delta

mod artifacts;
mod bucket;
mod cache;
mod claims;
pub mod collect;
pub mod deltas;
mod directory;
mod durable;
pub mod error;
mod executor;
mod hash;
pub mod lease;
mod lock;
pub mod manifest;
mod name;
mod objects;
pub mod open;
pub mod partition;
pub mod placement;
pub mod pointer;
pub mod publish;

pub mod rows;
mod staging;
pub mod store;
mod swap;
pub mod traffic;
