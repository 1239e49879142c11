//! Breaks parts of a house under load, and counts who notices: `make chaos`.
//!
//! Four shards in two copies over eight item towers, two user towers and one or two gateways, each in a process of its own. The
//! towers' models are those of `encoder::sample`, whose answers never change, so that a wrong one is seen. Rows go into
//! `target/report/gateway.json` and `docs/gateway.json`.
#![expect(clippy::print_stdout, reason = "figures are its output")]

mod answers;
mod dead;
mod fake;
mod gateways;
mod house;
mod load;
mod overload;
mod proxy;
#[path = "../bench/quantiles.rs"]
mod quantiles;
mod replicas;
mod restarts;
mod server;
mod shard;
mod site;
mod stories;
mod swaps;
#[path = "../bench/usage.rs"]
mod usage;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use onnx::bench::report::{self, Row};

/// What to break, and how often.
#[derive(Debug, Parser)]
struct Options {
    /// The folder of the server binaries; where this program lies if left out.
    #[arg(long)]
    bin: Option<PathBuf>,
    /// Measure only this; may be given again.
    #[arg(long, value_name = "NAME")]
    only: Vec<Scenario>,
    /// How often generations are swapped at least.
    #[arg(long, default_value_t = 500)]
    swaps: u64,
    /// How often each process is restarted.
    #[arg(long, default_value_t = 50)]
    restarts: u64,
    /// Recalls at least while generations are swapped.
    #[arg(long, default_value_t = 1_000_000)]
    calls: u64,
    /// Stories that the simulation tells.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// How long each of the faults lasts.
    #[arg(long, default_value = "20s")]
    fault: humantime::Duration,
    /// Where the figures go.
    #[arg(long, default_value = "target/report/gateway.json")]
    report: PathBuf,
    /// Where they are kept.
    #[arg(long, default_value = "docs/gateway.json")]
    docs: PathBuf,
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// All copies of one shard are killed.
    Shard,
    /// One copy of each shard is killed, stalled, flapping, black-holed.
    Replicas,
    /// Every item tower refuses; then every tower is killed.
    Dead,
    /// One generation follows the other.
    Swaps,
    /// Every process is stopped in turn and started again.
    Restarts,
    /// More is asked than can be answered.
    Overload,
    /// Two gateways answer while one generation follows the other.
    Gateways,
    /// Whatever a seed says, in simulated time.
    Stories,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    for scenario in Scenario::value_variants() {
        if !options.only.is_empty() && !options.only.contains(scenario) {
            continue;
        }
        println!("{scenario:?}");
        let figures = match scenario {
            Scenario::Shard => shard::measure(&options).await,
            Scenario::Replicas => replicas::measure(&options).await,
            Scenario::Dead => dead::measure(&options).await,
            Scenario::Swaps => swaps::measure(&options).await,
            Scenario::Restarts => restarts::measure(&options).await,
            Scenario::Overload => overload::measure(&options).await,
            Scenario::Gateways => gateways::measure(&options).await,
            Scenario::Stories => stories::measure(&options),
        };
        keep(&options, figures.with_context(|| format!("{scenario:?}"))?)?;
    }
    Ok(())
}

impl Options {
    /// The folder of the server binaries.
    fn bin(&self) -> anyhow::Result<PathBuf> {
        if let Some(bin) = &self.bin {
            return Ok(bin.clone());
        }
        let program = std::env::current_exe()?;
        let folder = program.ancestors().nth(2).context("no target folder")?;
        Ok(folder.to_owned())
    }
}

/// Prints figures, and merges them into the report and what is kept; one that is no number was not measured.
fn keep(options: &Options, figures: Vec<Figure>) -> anyhow::Result<()> {
    let date = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let row = |(row, value, unit, goal): Figure| Row {
        row,
        value,
        unit: unit.to_owned(),
        goal: goal.to_owned(),
        command: "make chaos".to_owned(),
        date: date[..10].to_owned(),
    };
    let figures = figures
        .into_iter()
        .filter(|(_, value, ..)| value.is_finite());
    let rows: Vec<Row> = figures.map(row).collect();
    for row in &rows {
        println!(
            "{:<40} {:>12.4} {:<4} {}",
            row.row, row.value, row.unit, row.goal
        );
    }
    report::merge(&options.report, &rows)?;
    report::merge(&options.docs, &rows)?;
    Ok(())
}

/// Name, value, unit and goal.
type Figure = (String, f64, &'static str, &'static str);

/// A figure.
fn figure(name: &str, value: f64, unit: &'static str, goal: &'static str) -> Figure {
    (name.to_owned(), value, unit, goal)
}
