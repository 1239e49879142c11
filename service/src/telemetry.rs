//! Logs: what is written, and how, to standard error.

use std::io::IsTerminal as _;

use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config;

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Filter directives, e.g. `info` or `info,gateway=debug`.
    pub level: String,
    /// For people or for machines.
    pub format: Format,
}

/// How a line of log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Aligned text.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl TelemetryConfig {
    pub(crate) fn validate(&self) -> Result<(), config::Error> {
        config::check(
            "telemetry.level",
            EnvFilter::try_new(&self.level).is_ok(),
            "must be a level or a list of directives, e.g. `info,gateway=debug`",
        )
    }
}

/// Starts logging for the whole process; a second call changes nothing.
pub fn init(config: &TelemetryConfig) {
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // An embedding program may have a subscriber of its own; it stays.
    let _ = match config.format {
        Format::Pretty => registry.with(lines.with_target(false)).try_init(),
        Format::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
}
