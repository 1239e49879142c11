//! What a process tells of itself: logs to standard error, metrics to Prometheus, traces to a collector.

use std::{io::IsTerminal as _, net::SocketAddr};

use opentelemetry::trace::TracerProvider as _;
use serde::{Deserialize, Serialize};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, filter::filter_fn, fmt, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{config, metrics};

mod request;
mod traces;

pub(crate) use request::{Id, call_span};
pub use request::{Within, pass_on};
pub(crate) use traces::current as trace_id;

/// What is told, and how.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Filter directives, e.g. `info` or `info,gateway=debug`.
    pub level: String,
    /// For people or for machines.
    pub format: Format,
    /// Where Prometheus asks for metrics, `address:port`; empty for nowhere.
    pub metrics: String,
    /// The collector of traces, by OTLP over gRPC, `http://host:port`; empty for none.
    pub traces: String,
    /// The share of traces that begin here and are kept; one that began elsewhere is kept if it is there.
    pub traces_share: f64,
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

/// What tells of a server; dropped, it sends the traces that wait.
#[must_use]
pub struct Telemetry {
    _traces: Option<traces::Traces>,
}

impl TelemetryConfig {
    /// Logs alone.
    pub fn logs(level: &str, format: Format) -> Self {
        Self {
            level: level.to_owned(),
            format,
            metrics: String::new(),
            traces: String::new(),
            traces_share: 0.0,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), config::Error> {
        config::check(
            "telemetry.level",
            EnvFilter::try_new(&self.level).is_ok(),
            "must be a level or a list of directives, e.g. `info,gateway=debug`",
        )?;
        config::check(
            "telemetry.metrics",
            self.metrics.is_empty() || self.metrics.parse::<SocketAddr>().is_ok(),
            "must be an address like 127.0.0.1:9464, or empty",
        )?;
        config::check(
            "telemetry.traces",
            self.traces.is_empty() || self.traces.starts_with("http://"),
            "must be like http://127.0.0.1:4317, or empty",
        )?;
        config::check(
            "telemetry.traces_share",
            (0.0..=1.0).contains(&self.traces_share),
            "must be between 0 and 1",
        )
    }
}

/// Starts logging for the whole process; a second call changes nothing.
pub fn init(config: &TelemetryConfig) {
    log(config, None);
}

/// Starts logs, metrics and traces of the server `name`, once in a process, where a runtime runs.
///
/// # Errors
/// If the address of the metrics cannot be bound, or that of the collector is none.
pub fn start(config: &TelemetryConfig, name: &'static str) -> anyhow::Result<Telemetry> {
    let traces = match config.traces.is_empty() {
        true => None,
        false => Some(traces::Traces::to(
            &config.traces,
            name,
            config.traces_share,
        )?),
    };
    log(config, traces.as_ref());
    if !config.metrics.is_empty() {
        metrics::serve(&config.metrics, name)?;
    }
    Ok(Telemetry { _traces: traces })
}

fn log(config: &TelemetryConfig, traces: Option<&traces::Traces>) {
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let traces = traces.map(|traces| {
        let tracer = traces.provider().tracer("twotower");
        // The spans of calls, whatever is logged; not those of the libraries that send them.
        let calls =
            filter_fn(|metadata| metadata.is_span() && metadata.target() == request::TARGET);
        tracing_opentelemetry::layer::<Registry>()
            .with_tracer(tracer)
            .with_filter(calls)
    });
    let registry = tracing_subscriber::registry().with(traces);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // An embedding program may have a subscriber of its own; it stays.
    let _ = match config.format {
        Format::Pretty => {
            let lines = lines.with_target(false).with_filter(filter);
            registry.with(lines).try_init()
        }
        Format::Json => {
            let lines = lines.json().flatten_event(true).with_filter(filter);
            registry.with(lines).try_init()
        }
    };
}
