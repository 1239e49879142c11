//! What a gateway can be told; every setting is in `config.toml` with its default.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use service::{
    Settings,
    config::{self, ServerConfig, check},
    telemetry::TelemetryConfig,
};
use tonic::transport::Endpoint;

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
    /// The user towers, `NAME=ADDRESS`.
    pub user_towers: Vec<String>,
    /// The addresses of the item towers.
    pub item_towers: Vec<String>,
    /// Listening and limits.
    pub server: ServerConfig,
    /// Logs.
    pub telemetry: TelemetryConfig,
    /// One recall.
    pub recall: RecallConfig,
    /// How members are followed.
    pub topology: TopologyConfig,
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
}

/// How members are followed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TopologyConfig {
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
    /// The names and addresses of the user towers.
    pub(crate) fn user_towers(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.user_towers.iter();
        entries.filter_map(|entry| entry.split_once('='))
    }
}

impl Settings for Config {
    fn server(&self) -> &ServerConfig {
        &self.server
    }

    fn telemetry(&self) -> &TelemetryConfig {
        &self.telemetry
    }

    fn validate(&self) -> Result<(), config::Error> {
        let (recall, topology) = (&self.recall, &self.topology);
        let named = |(name, address): &(&str, &str)| !name.is_empty() && is_address(address);
        let names: BTreeSet<_> = self.user_towers().map(|(name, _)| name).collect();
        for (key, holds, requirement) in [
            ("store", !self.store.is_empty(), "must not be empty"),
            (
                "user_towers",
                self.user_towers().filter(named).count() == self.user_towers.len(),
                "must be entries like user-tower-0=http://127.0.0.1:50051",
            ),
            (
                "user_towers",
                names.len() == self.user_towers.len(),
                "must not name anyone twice",
            ),
            (
                "item_towers",
                !self.item_towers.is_empty() && self.item_towers.iter().all(|at| is_address(at)),
                "must be addresses like http://127.0.0.1:50052, at least one",
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

fn is_address(address: &str) -> bool {
    Endpoint::from_shared(address.to_owned()).is_ok_and(|endpoint| {
        let uri = endpoint.uri();
        uri.scheme_str() == Some("http") && uri.host().is_some()
    })
}

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
        let user_towers: Vec<_> = config.user_towers().collect();
        assert_eq!(user_towers, [("user-tower-0", "http://127.0.0.1:50051")]);
        assert!(config.server.http1);
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        let address =
            "setting `item_towers` must be addresses like http://127.0.0.1:50052, at least one";
        refused(|config| config.item_towers.clear(), address);
        refused(
            |config| config.item_towers = vec!["item-tower-0:50052".to_owned()],
            address,
        );
        let entry =
            "setting `user_towers` must be entries like user-tower-0=http://127.0.0.1:50051";
        for wrong in [
            "http://127.0.0.1:50051",
            "=http://127.0.0.1:50051",
            "user-tower-0=here",
        ] {
            refused(|config| config.user_towers = vec![wrong.to_owned()], entry);
        }
        refused(
            |config| config.user_towers = vec!["a=http://127.0.0.1:1".to_owned(); 2],
            "setting `user_towers` must not name anyone twice",
        );
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
