//! What a user tower can be told; every setting is in `config.toml` with its default.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use service::{
    Settings,
    config::{self, ServerConfig, check},
    identity::IdentityConfig,
    telemetry::TelemetryConfig,
};

/// The complete, commented defaults.
pub const DEFAULTS: &str = include_str!("../config.toml");

/// The settings of one user tower.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The store that artifacts, generations and MEMBERS are in.
    pub store: String,
    /// This server's name in MEMBERS.
    pub member: String,
    /// Listening and limits.
    pub server: ServerConfig,
    /// Certificates, tokens and roles.
    pub identity: IdentityConfig,
    /// Logs, metrics and traces.
    pub telemetry: TelemetryConfig,
    /// Where ONNX Runtime is.
    pub onnxruntime: OnnxRuntimeConfig,
    /// Events and profiles.
    pub history: HistoryConfig,
    /// Models held.
    pub models: ModelsConfig,
    /// How users become batches.
    pub batcher: BatcherConfig,
}

/// Where ONNX Runtime is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OnnxRuntimeConfig {
    /// The library; empty means `ORT_DYLIB_PATH`, else `.ort/` of the checkout.
    pub library: PathBuf,
}

/// How events and profiles are kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryConfig {
    /// The file; one server a file.
    pub path: PathBuf,
    /// How many of a user's newest events are kept.
    pub keep: usize,
    /// How old what is kept may get; 0 keeps it for good.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// Writes that may wait for the next commit.
    pub queue: usize,
    /// Memory for histories that were read lately.
    pub cache_bytes: u64,
    /// Memory for pages of the file.
    pub page_cache_bytes: usize,
}

/// How models are held.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelsConfig {
    /// How often CURRENT and MEMBERS are read.
    #[serde(with = "humantime_serde")]
    pub refresh: Duration,
    /// How long a model stays held after CURRENT stopped naming its generation.
    #[serde(with = "humantime_serde")]
    pub linger: Duration,
    /// Inferences at once; 0 means one a core.
    pub sessions: usize,
    /// Memory of each model for vectors of users for whom nothing was written since; 0 keeps none.
    pub vector_cache_bytes: u64,
}

/// How users become batches.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BatcherConfig {
    /// Users of one inference.
    pub max_batch: usize,
    /// How long a batch that is not full waits for more users.
    #[serde(with = "humantime_serde")]
    pub max_wait: Duration,
    /// Users that may wait for an inference.
    pub queue: usize,
    /// The longest inference that is not worth a thread of its own.
    #[serde(with = "humantime_serde")]
    pub in_place: Duration,
}

/// The largest batch that a model runs.
const LARGEST_BATCH: usize = encoder::session::BUCKETS[encoder::session::BUCKETS.len() - 1];
/// The least memory that is worth keeping vectors in.
const VECTORS_FLOOR: u64 = 65_536;
/// The most events kept of a user: what one answer can carry.
const KEEP_LIMIT: usize = 1_000;

/// How old what is kept may at least and at most get.
const AGES: RangeInclusive<Duration> =
    Duration::from_secs(3_600)..=Duration::from_secs(100 * 366 * 86_400);

impl Config {
    /// The ONNX Runtime library to load.
    pub(crate) fn library(&self) -> Result<PathBuf, encoder::error::Error> {
        if self.onnxruntime.library.as_os_str().is_empty() {
            return encoder::session::library();
        }
        Ok(self.onnxruntime.library.clone())
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
        check("member", !self.member.is_empty(), "must not be empty")?;
        let history = &self.history;
        check(
            "history.path",
            !history.path.as_os_str().is_empty(),
            "must not be empty",
        )?;
        check(
            "history.keep",
            (1..=KEEP_LIMIT).contains(&history.keep),
            "must be between 1 and 1000",
        )?;
        check(
            "history.max_age",
            history.max_age.is_zero() || AGES.contains(&history.max_age),
            "must be 0s, or between 1h and 100years",
        )?;
        check("history.queue", history.queue > 0, "must be at least 1")?;
        check(
            "models.refresh",
            !self.models.refresh.is_zero(),
            "must not be 0",
        )?;
        check(
            "models.vector_cache_bytes",
            self.models.vector_cache_bytes == 0 || self.models.vector_cache_bytes >= VECTORS_FLOOR,
            "must be 0 or at least 65536",
        )?;
        check(
            "batcher.max_batch",
            (1..=LARGEST_BATCH).contains(&self.batcher.max_batch),
            "must be between 1 and 64",
        )?;
        check(
            "batcher.queue",
            self.batcher.queue >= LARGEST_BATCH,
            "must be at least 64, the users of one call",
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_defaults_are_complete_and_valid() {
        let config: Config = config::parse(DEFAULTS).unwrap();
        config.validate().unwrap();
        assert_eq!(config.history.keep, 200);
    }

    #[test]
    fn a_batch_that_no_model_runs_is_refused() {
        let mut config: Config = config::parse(DEFAULTS).unwrap();
        config.batcher.max_batch = 65;
        let refused = config.validate().unwrap_err().to_string();
        assert_eq!(
            refused,
            "setting `batcher.max_batch` must be between 1 and 64"
        );
    }

    #[test]
    fn vectors_are_kept_in_no_memory_or_in_enough() {
        let mut config: Config = config::parse(DEFAULTS).unwrap();
        config.models.vector_cache_bytes = 0;
        config.validate().unwrap();
        config.models.vector_cache_bytes = 32;
        let refused = config.validate().unwrap_err().to_string();
        let expected = "setting `models.vector_cache_bytes` must be 0 or at least 65536";
        assert_eq!(refused, expected);
    }
}
