//! What an item tower can be told; every setting is in `config.toml` with its default.

use std::{path::PathBuf, time::Duration};

use index::plan::Strategy;
use serde::{Deserialize, Serialize};
use service::{
    Settings,
    config::{self, ServerConfig, check},
    identity::IdentityConfig,
    telemetry::TelemetryConfig,
};

/// The complete, commented defaults.
pub const DEFAULTS: &str = include_str!("../config.toml");

/// The settings of one item tower.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The store that artifacts and generations are in.
    pub store: String,
    /// This server's name among `members`.
    pub member: String,
    /// All item towers, in an order that never differs between them.
    pub members: Vec<String>,
    /// How many members hold a copy of each shard.
    pub replicas: usize,
    /// Listening and limits.
    pub server: ServerConfig,
    /// Certificates, tokens and roles.
    pub identity: IdentityConfig,
    /// Logs, metrics and traces.
    pub telemetry: TelemetryConfig,
    /// Where ONNX Runtime is.
    pub onnxruntime: OnnxRuntimeConfig,
    /// Artifacts held.
    pub models: ModelsConfig,
    /// Shards held.
    pub shards: ShardsConfig,
    /// Changes of the catalog.
    pub updates: UpdatesConfig,
}

/// How changes of the catalog are taken up.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UpdatesConfig {
    /// How often the catalog's log is read.
    #[serde(with = "humantime_serde")]
    pub refresh: Duration,
    /// How many items may have changed since the serving generation was made; more are refused.
    pub max_items: usize,
}

/// Where ONNX Runtime is.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OnnxRuntimeConfig {
    /// The library; empty means `ORT_DYLIB_PATH`, else `.ort/` of the checkout.
    pub library: PathBuf,
}

/// How artifacts are held.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelsConfig {
    /// How many stay loaded.
    pub keep: usize,
    /// Sessions a model; 0 means one a core.
    pub sessions: usize,
}

/// How generations are held.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ShardsConfig {
    /// How often CURRENT is read.
    #[serde(with = "humantime_serde")]
    pub refresh: Duration,
    /// How long a generation stays held after CURRENT stopped naming it.
    #[serde(with = "humantime_serde")]
    pub linger: Duration,
    /// How they are searched.
    pub search: Search,
    /// One in how many searches is done again to see what it missed; 0 measures none.
    pub measure_every: u64,
    /// The recall that searches are to have by that measure; they look harder while they have less. 0 lets them look as they do.
    pub recall_target: f64,
}

/// How shards are searched.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Search {
    /// By what costs less.
    Auto,
    /// By comparing every item.
    Scan,
    /// By comparing the items of the cells that are near.
    Cells,
    /// Through the graph.
    Graph,
}

impl From<Search> for Strategy {
    fn from(search: Search) -> Self {
        match search {
            Search::Auto => Self::Auto,
            Search::Scan => Self::Scan,
            Search::Cells => Self::Cells,
            Search::Graph => Self::Graph,
        }
    }
}

impl Settings for Config {
    fn server(&self) -> &ServerConfig {
        &self.server
    }

    fn identity(&self) -> &IdentityConfig {
        &self.identity
    }

    fn telemetry(&self) -> &TelemetryConfig {
        &self.telemetry
    }

    fn validate(&self) -> Result<(), config::Error> {
        check("store", !self.store.is_empty(), "must not be empty")?;
        check(
            "member",
            self.members.contains(&self.member),
            "must be one of `members`",
        )?;
        let distinct: std::collections::BTreeSet<_> = self.members.iter().collect();
        check(
            "members",
            distinct.len() == self.members.len(),
            "must not name anyone twice",
        )?;
        check(
            "replicas",
            (1..=self.members.len()).contains(&self.replicas),
            "must be between 1 and the number of members",
        )?;
        check("models.keep", self.models.keep > 0, "must be at least 1")?;
        check(
            "shards.refresh",
            !self.shards.refresh.is_zero(),
            "must not be 0",
        )?;
        check(
            "shards.recall_target",
            (0.0..1.0).contains(&self.shards.recall_target),
            "must be at least 0 and below 1",
        )?;
        check(
            "updates.refresh",
            !self.updates.refresh.is_zero(),
            "must not be 0",
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn check(change: impl FnOnce(&mut Config), expected: &str) {
        let mut config: Config = config::parse(DEFAULTS).unwrap();
        change(&mut config);
        let found = config.validate().map_err(|cause| cause.to_string());
        match expected {
            "" => assert_eq!(found, Ok(())),
            key => assert!(
                found.as_ref().is_err_and(|cause| cause.contains(key)),
                "{found:?}"
            ),
        }
    }

    #[test]
    fn the_defaults_are_complete_and_valid() {
        check(|_| {}, "");
    }

    #[test]
    fn a_setting_out_of_its_bounds_is_named() {
        check(|config| config.member = "x".to_owned(), "`member`");
        check(
            |config| config.members.push(config.member.clone()),
            "`members`",
        );
        check(|config| config.replicas = 2, "`replicas`");
        check(|config| config.models.keep = 0, "`models.keep`");
        check(
            |config| config.shards.refresh = Duration::ZERO,
            "`shards.refresh`",
        );
        check(
            |config| config.shards.recall_target = 1.0,
            "`shards.recall_target`",
        );
        check(
            |config| config.updates.refresh = Duration::ZERO,
            "`updates.refresh`",
        );
    }
}
