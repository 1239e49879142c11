//! What the builder can be told; every setting is in `config.toml` with its default.

use std::{path::PathBuf, time::Duration};

pub use generation::{publish::Role, rows::Storage};
use serde::{Deserialize, Serialize};
use service::{config, identity::IdentityConfig, telemetry::TelemetryConfig};

pub use crate::catalog::format::Format;
use crate::error::Error;

mod rules;

/// The complete, commented defaults.
pub const DEFAULTS: &str = include_str!("../config.toml");

/// The settings of one run.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The store to take the artifact from and publish into.
    pub store: String,
    /// The catalog.
    pub catalog: PathBuf,
    /// Its format.
    pub catalog_format: Format,
    /// The last delta of the catalog's log that the catalog holds; 0 if that is not known.
    pub catalog_delta: u64,
    /// Vectors made elsewhere; empty lets the item towers make them.
    pub vectors: PathBuf,
    /// The artifact's embedding space; empty takes the only one of the store.
    pub artifact: String,
    /// The addresses of the item towers that embed.
    pub item_towers: Vec<String>,
    /// The directory of the job.
    pub work: PathBuf,
    /// How many shards to make.
    pub shards: u32,
    /// In how many parts the catalog is embedded.
    pub parts: u32,
    /// Whether vectors of items that did not change, and graphs that need few changes, are kept.
    pub reuse: bool,
    /// How the numbers of vectors are stored.
    pub rows: Storage,
    /// What the generation becomes.
    pub publish_as: Role,
    /// How many generations stay in the store, those that CURRENT names among them.
    pub keep_generations: usize,
    /// What the catalog may be like.
    pub catalog_checks: CatalogChecks,
    /// What the columns of a table hold.
    pub catalog_columns: ColumnsConfig,
    /// How items are embedded.
    pub embed: EmbedConfig,
    /// How graphs are built.
    pub hnsw: HnswConfig,
    /// What is measured before anything is published.
    pub verify: VerifyConfig,
    /// Certificates, tokens and roles.
    pub identity: IdentityConfig,
    /// Logs, metrics and traces.
    pub telemetry: TelemetryConfig,
}

/// What the catalog may be like.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogChecks {
    /// The share of lines that may be unreadable.
    pub bad_lines: f64,
}

/// What the columns of a table hold, beyond what the artifact says of them; the others hold text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnsConfig {
    /// Columns of numbers.
    pub numbers: Vec<String>,
    /// Columns of lists.
    pub lists: Vec<String>,
    /// What stands between two values of a list.
    pub separator: String,
}

/// How items are embedded.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedConfig {
    /// Items a message.
    pub chunk: usize,
    /// Whether items that the artifact does not know are indexed, too.
    pub unknown_items: bool,
    /// How long the item tower may take over all of it.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
}

/// How graphs are built.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HnswConfig {
    /// Neighbours a node.
    pub connectivity: usize,
    /// Candidates looked at while a node is added.
    pub expansion_add: usize,
    /// Candidates looked at while searching; 0 takes as few as find `recall`.
    pub expansion_search: usize,
    /// The share of the true nearest 100 to find.
    pub recall: f64,
}

/// What is measured before anything is published.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyConfig {
    /// The least recall@100 of each shard's graph against its exact scan.
    pub ann_recall_floor: f64,
    /// How many queries a shard measure it.
    pub sample: usize,
    /// The least share of the items that the generation that serves has; 0 takes any number.
    pub items_floor: f64,
    /// The least HR@10 of the artifact's report; 0 takes artifacts without one.
    pub hr_floor: f64,
    /// Seeds the sample.
    pub seed: u64,
}

impl Config {
    /// The defaults, for programs that change what they need.
    ///
    /// # Errors
    /// Never, as long as `config.toml` and these types agree.
    pub fn defaults() -> Result<Self, Error> {
        Ok(config::parse(DEFAULTS).map_err(Box::new)?)
    }

    /// Whether the vectors were made elsewhere.
    pub(crate) fn has_vectors(&self) -> bool {
        !self.vectors.as_os_str().is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_defaults_are_complete_and_valid() {
        Config::defaults().unwrap().validate().unwrap();
    }

    #[test]
    fn a_setting_out_of_its_bounds_is_named() {
        let refused = |change: fn(&mut Config)| {
            let mut config = Config::defaults().unwrap();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert_eq!(
            refused(|config| config.embed.chunk = 1_025),
            "embed.chunk must be between 1 and 1024"
        );
        assert_eq!(
            refused(|config| config.keep_generations = 1),
            "keep_generations must be at least 2"
        );
    }
}
