//! Measures the user tower, each in a process of its own: `make bench-user`.
//!
//! What an embedding costs over the raw session, what batching saves, the same model behind a Python server, how many events are
//! durable in a second, and whether anybody notices that models change. Rows go into `target/report/user.json` and
//! `docs/user-tower.json`.
#![expect(clippy::print_stdout, reason = "figures are its output")]

#[path = "../bench/calls.rs"]
mod calls;
mod embedding;
mod events;
#[path = "../bench/floor.rs"]
mod floor;
mod load;
mod peer;
#[path = "../bench/process.rs"]
mod process;
#[path = "../bench/quantiles.rs"]
mod quantiles;
mod site;
mod swaps;
#[path = "../bench/tensors.rs"]
mod tensors;
#[path = "../bench/usage.rs"]
mod usage;
#[path = "../bench/users.rs"]
mod users;

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::Parser;
use onnx::bench::report::{self, Row};

/// What to measure, and how long.
#[derive(Debug, Parser)]
struct Options {
    /// A model, and a store whose only artifact it is; the first gives the rows without a suffix.
    #[arg(long = "model", value_name = "NAME=STORE", required = true)]
    models: Vec<String>,
    /// The prepared dataset that the models were trained on.
    #[arg(long)]
    data: PathBuf,
    /// A larger prepared dataset, whose events are imported.
    #[arg(long)]
    import: PathBuf,
    /// The Python of the peer; without it the peer is not measured.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Calls of one measurement.
    #[arg(long, default_value_t = 3_000)]
    calls: usize,
    /// Pairs of measurements that alternate.
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// How often models are swapped; 0 leaves that out.
    #[arg(long, default_value_t = 500)]
    swaps: u64,
    /// Users who each have one event; 0 leaves events out.
    #[arg(long, default_value_t = 10_000_000)]
    distinct: u64,
    /// Where the figures go.
    #[arg(long, default_value = "target/report/user.json")]
    report: PathBuf,
    /// Where they are kept.
    #[arg(long, default_value = "docs/user-tower.json")]
    docs: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    encoder::session::init(&encoder::session::library()?)?;
    for (number, model) in options.models.iter().enumerate() {
        let (name, store) = model.split_once('=').context("a model is NAME=STORE")?;
        println!("{name}");
        let site = site::Site::of(store.as_ref()).await?;
        let found = embedding::measure(&site, &options).await?;
        let first = number == 0;
        let suffix = if first { "" } else { name };
        let goal = |goal| if first { goal } else { "" };
        let found = found.into_iter();
        keep(
            &options,
            suffix,
            found.map(|(row, value, unit, of)| (row, value, unit, goal(of))),
        )?;
    }
    if options.swaps > 0 {
        keep(&options, "", swaps::measure(options.swaps).await?)?;
    }
    if options.distinct > 0 {
        keep(&options, "", events::measure(&options).await?)?;
    }
    Ok(())
}

/// Prints figures, their names ending in `suffix`, and merges them into the report and what is kept.
fn keep(
    options: &Options,
    suffix: &str,
    figures: impl IntoIterator<Item = Figure>,
) -> anyhow::Result<()> {
    let date = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let row = |(row, value, unit, goal): Figure| Row {
        row: match suffix {
            "" => row.to_owned(),
            suffix => format!("{row}_{suffix}"),
        },
        value,
        unit: unit.to_owned(),
        goal: goal.to_owned(),
        command: "make bench-user".to_owned(),
        date: date[..10].to_owned(),
    };
    let rows: Vec<Row> = figures.into_iter().map(row).collect();
    for row in &rows {
        println!(
            "{:<40} {:>12.3} {:<10} {}",
            row.row, row.value, row.unit, row.goal
        );
    }
    report::merge(&options.report, &rows)?;
    report::merge(&options.docs, &rows)?;
    Ok(())
}

/// Name, value, unit and goal.
type Figure = (&'static str, f64, &'static str, &'static str);

/// A file's size in bytes.
fn size(path: &std::path::Path) -> anyhow::Result<f64> {
    Ok(fs::metadata(path)?.len() as f64)
}
