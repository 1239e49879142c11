//! The batch re-index job: catalog, embed, build, verify, publish.
//!
//! Top floor of the house, over `service`, `encoder`, `index` and `generation`; it serves nothing.
//! [`run`] turns a catalog into one published generation, at any time while people are served: it
//! needs a store, and an item tower or more to embed with or a file of ready vectors. Whatever stops it leaves what serves as it
//! was, and the next run goes on where it stopped.
//!
//! `job` is the order, `plan` what a job is made of, `work` its directory; each of its steps is the file of that name, and a
//! subcommand. `items` decides what of the `catalog` is indexed; `spool` and `gather` carry it from parts to shards. A shard is in
//! memory while it is built, and nothing else that grows with the catalog. `inspect` looks at what was published.

mod artifact;
mod build;
mod catalog;
pub mod cli;
pub mod config;
mod embed;
pub mod error;
mod gather;
pub mod inspect;
mod item_tower;
mod items;
mod job;
mod kept;
mod plan;
mod popularity;
mod progress;
mod publish;
mod spool;
pub mod summary;
mod updates;
mod verify;
mod work;

use crate::{config::Config, error::Error, summary::Summary};

/// Makes one generation of the catalog and lets it serve, or goes on where a run of the same plan stopped.
///
/// # Errors
/// Says which step could not be done; the store's CURRENT is then as it was.
pub async fn run(config: Config) -> Result<Summary, Error> {
    job::run(config).await
}
