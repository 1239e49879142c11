//! The shell of every binary: command line, config, telemetry, health, limits, deadline, drain.
//!
//! Ground floor of the house; depends on no other crate of it and knows nothing of recommendation.
//! A binary's `main` is one call of [`run`]; its `serve` ends in one call of [`server::Server::serve`].
//!
//! - [`shell`][]: the command line, from arguments to exit status
//! - [`config`][]: defaults, file and environment, checked before anything is bound
//! - [`telemetry`][]: logs, metrics and traces; [`metrics`] is what is measured of every server
//! - [`identity`][]: certificates, tokens and roles; [`client`] connects our own servers by them
//! - [`server`][]: the gRPC server with its limits; [`health`], [`deadline`] and [`drain`] are its parts
//! - [`blocking`][]: where native code runs, off the async workers; [`changes`][]: a value as a stream, for calls that watch
//! - [`status`][]: errors as callers see them

use std::future::Future;

use tokio::net::TcpListener;

pub mod blocking;
pub mod changes;
pub mod client;
pub mod config;
pub mod deadline;
pub mod drain;
pub mod health;
pub mod identity;
pub mod metrics;
pub mod server;
pub mod shell;
pub mod status;
pub mod telemetry;

mod coalesce;
mod connection;
mod output;
mod panic;
mod systemd;

pub use config::Settings;

/// Runs a server named `name` whose settings have the defaults `defaults` (its config.toml).
///
/// Parses the command line, loads and checks the settings, binds, and calls `serve`; or does what
/// the command line asks instead (`--print-config`, `health [SERVICE]`). A binary with commands of
/// its own uses [`shell::Shell`].
///
/// # Errors
/// If the settings are wrong, the address cannot be bound, or `serve` fails.
pub fn run<C, F, Fut>(name: &'static str, defaults: &'static str, serve: F) -> anyhow::Result<()>
where
    C: Settings + 'static,
    F: FnOnce(C, TcpListener, drain::Shutdown) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    shell::Shell::new(name, defaults).run(serve)
}
