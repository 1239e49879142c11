//! The command line: `index-builder run`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use service::{
    config,
    telemetry::{self, Format},
};
use tokio::runtime::Runtime;

use crate::{
    config::{Config, DEFAULTS},
    summary::Summary,
};

/// Makes generations: a catalog in, a published index out.
#[derive(Debug, Parser)]
#[command(name = "index-builder", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Embed the catalog, build, verify and publish one generation.
    Run(Options),
}

#[derive(Debug, Args)]
struct Options {
    /// A TOML file of settings that override the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the effective settings and exit.
    #[arg(long)]
    print_config: bool,
    /// Print the summary as one JSON object.
    #[arg(long)]
    json: bool,
    /// How logs look; overrides `telemetry.format`.
    #[arg(long, value_name = "FORMAT")]
    log: Option<Format>,
}

/// Parses the command line and does what it says.
///
/// # Errors
/// Why nothing was published.
pub fn run() -> anyhow::Result<()> {
    let Command::Run(options) = Cli::parse().command;
    let settings: Config = config::layered("index-builder", DEFAULTS, options.config.as_deref())?;
    settings.validate()?;
    if options.print_config {
        print(config::print(&settings)?.trim_end());
        return Ok(());
    }
    let mut logs = settings.telemetry.clone();
    logs.format = options.log.unwrap_or(logs.format);
    telemetry::init(&logs);
    let summary = Runtime::new()?.block_on(crate::run(settings))?;
    print(&text(&summary, options.json)?);
    Ok(())
}

fn text(summary: &Summary, json: bool) -> Result<String, serde_json::Error> {
    if json {
        serde_json::to_string(summary)
    } else {
        Ok(summary.to_string())
    }
}

#[expect(clippy::print_stdout, reason = "the answer to the command, not a log")]
fn print(text: &str) {
    println!("{text}");
}
