//! What a gateway can be told; every setting is in `config.toml` with its default.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use service::{
    Settings,
    config::{self, ServerConfig, check},
    identity::IdentityConfig,
    telemetry::TelemetryConfig,
};

use crate::topology::Place;

/// The complete, commented defaults.
pub const DEFAULTS: &str = include_str!("../config.toml");

/// The most items that a shard returns, and so the largest page.
const MAX_K: u32 = 1_000;

/// The settings of one gateway.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The store that generations are in.
    pub store: String,
    /// Where the user towers are.
    pub user_towers: Vec<String>,
    /// Where the item towers are.
    pub item_towers: Vec<String>,
    /// Listening and limits.
    pub server: ServerConfig,
    /// Certificates, tokens and roles.
    pub identity: IdentityConfig,
    /// Logs, metrics and traces.
    pub telemetry: TelemetryConfig,
    /// One recall.
    pub recall: RecallConfig,
    /// Calls that are made once more.
    pub retries: RetriesConfig,
    /// How members are followed.
    pub topology: TopologyConfig,
    /// Who decides which generations answer.
    pub traffic: TrafficConfig,
    /// Tokens that callers bring back.
    pub tokens: TokensConfig,
}

/// One recall.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RecallConfig {
    /// Items in an answer when the caller names no page size.
    pub page_size: u32,
    /// The largest page size.
    pub max_page_size: u32,
    /// The share of a call's time after which the answer is made of what has come.
    pub soft_deadline: f64,
    /// How many recalls of batches and streams are answered at once; all others wait.
    pub batch_concurrency: usize,
    /// The most recalls that are answered at once.
    pub concurrency: usize,
    /// How long a recall waits for the end of another before it is refused.
    #[serde(with = "humantime_serde")]
    pub patience: Duration,
    /// Bytes of the users' last vectors, which stand in while the towers that keep them cannot be reached.
    pub last_vectors_bytes: u64,
}

/// Calls that are made once more.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RetriesConfig {
    /// How many there may be to a call.
    pub share: f64,
    /// How many may come at once after a while without any.
    pub burst: u32,
    /// The share of calls after whose time another member is asked, too.
    pub hedge_at: f64,
    /// No other member is asked before this.
    #[serde(with = "humantime_serde")]
    pub hedge_least: Duration,
}

/// Tokens that callers bring back.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokensConfig {
    /// Files of secrets that tokens are sealed with.
    pub key_files: Vec<PathBuf>,
}

/// Who decides which generations answer.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TrafficConfig {
    /// Whether callers of this gateway may.
    pub serve: bool,
}

/// How members are followed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TopologyConfig {
    /// How often names are looked up and files of members read.
    #[serde(with = "humantime_serde")]
    pub resolve: Duration,
    /// How often each member is asked what it holds.
    #[serde(with = "humantime_serde")]
    pub refresh: Duration,
    /// How long a member may take to say so.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// How long a connection may take to open.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long one item tower may hold up the rest.
    #[serde(with = "humantime_serde")]
    pub patience: Duration,
}

impl Config {
    /// Where the user towers are; of entries that are no place, nothing.
    pub(crate) fn user_towers(&self) -> impl Iterator<Item = Place> {
        self.user_towers.iter().filter_map(|at| Place::parse(at))
    }

    /// Where the item towers are.
    pub(crate) fn item_towers(&self) -> impl Iterator<Item = Place> {
        self.item_towers.iter().filter_map(|at| Place::parse(at))
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
        let (recall, topology, retries) = (&self.recall, &self.topology, &self.retries);
        for (key, holds, requirement) in [
            ("store", !self.store.is_empty(), "must not be empty"),
            (
                "user_towers",
                !self.user_towers.is_empty()
                    && self.user_towers().count() == self.user_towers.len(),
                PLACES,
            ),
            (
                "item_towers",
                !self.item_towers.is_empty()
                    && self.item_towers().count() == self.item_towers.len(),
                PLACES,
            ),
            (
                "recall.max_page_size",
                (1..=MAX_K).contains(&recall.max_page_size),
                "must be between 1 and 1000",
            ),
            (
                "recall.page_size",
                (1..=recall.max_page_size).contains(&recall.page_size),
                "must be between 1 and recall.max_page_size",
            ),
            (
                "recall.soft_deadline",
                recall.soft_deadline > 0.0 && recall.soft_deadline < 1.0,
                "must be more than 0 and less than 1",
            ),
            (
                "recall.batch_concurrency",
                recall.batch_concurrency > 0,
                POSITIVE,
            ),
            ("recall.concurrency", recall.concurrency > 0, POSITIVE),
            (
                "retries.share",
                (0.0..=1.0).contains(&retries.share),
                "must be between 0 and 1",
            ),
            ("retries.burst", retries.burst > 0, POSITIVE),
            (
                "retries.hedge_at",
                retries.hedge_at > 0.0 && retries.hedge_at < 1.0,
                "must be more than 0 and less than 1",
            ),
            ("topology.resolve", !topology.resolve.is_zero(), POSITIVE),
            ("topology.refresh", !topology.refresh.is_zero(), POSITIVE),
            ("topology.timeout", !topology.timeout.is_zero(), POSITIVE),
            (
                "topology.connect_timeout",
                !topology.connect_timeout.is_zero(),
                POSITIVE,
            ),
        ] {
            check(key, holds, requirement)?;
        }
        Ok(())
    }
}

const POSITIVE: &str = "must be more than 0";
const PLACES: &str = "must be places like http://127.0.0.1:50052, dns://tower:50052, \
    srv://_grpc._tcp.tower or file:towers, at least one";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn refused(change: impl FnOnce(&mut Config), error: &str) {
        let mut config: Config = config::parse(DEFAULTS).unwrap();
        change(&mut config);
        assert_eq!(config.validate().unwrap_err().to_string(), error);
    }

    #[test]
    fn the_defaults_are_those_of_one_machine() {
        let config: Config = config::parse(DEFAULTS).unwrap();
        assert_eq!(config.user_towers, ["http://127.0.0.1:50051"]);
        assert!(config.server.http1);
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        let item_towers = format!("setting `item_towers` {PLACES}");
        refused(|config| config.item_towers.clear(), &item_towers);
        let user_towers = format!("setting `user_towers` {PLACES}");
        for wrong in ["127.0.0.1:50051", "dns://user-tower", "file:"] {
            refused(
                |config| config.item_towers = vec![wrong.to_owned()],
                &item_towers,
            );
            refused(
                |config| config.user_towers = vec![wrong.to_owned()],
                &user_towers,
            );
        }
        refused(
            |config| config.recall.max_page_size = 1_001,
            "setting `recall.max_page_size` must be between 1 and 1000",
        );
        refused(
            |config| config.recall.soft_deadline = f64::NAN,
            "setting `recall.soft_deadline` must be more than 0 and less than 1",
        );
        refused(
            |config| config.topology.refresh = Duration::ZERO,
            "setting `topology.refresh` must be more than 0",
        );
    }
}
