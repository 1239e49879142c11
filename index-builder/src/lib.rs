//! The batch re-index job: catalog, embed, build, verify, publish.
//!
//! Top floor of the house, over `service`, `encoder`, `index` and `generation`; it serves nothing.
//! [`run`] turns a catalog into one published generation, at any time while people are served: it
//! needs a store and an item tower or more to embed with. Whatever stops it leaves what serves as it was.
//!
//! `job` is the order; each of its steps is the file of that name. `inspect` looks at what was published.

mod artifact;
mod build;
mod catalog;
pub mod cli;
pub mod config;
mod embed;
pub mod error;
pub mod inspect;
mod item_tower;
mod job;
mod kept;
mod popularity;
mod progress;
mod publish;
mod read_ahead;
pub mod summary;
mod verify;

use crate::{config::Config, error::Error, summary::Summary};

/// Makes one generation of the catalog and lets it serve.
///
/// # Errors
/// Says which step could not be done; the store's CURRENT is then as it was.
pub async fn run(config: Config) -> Result<Summary, Error> {
    job::run(config).await
}
