//! Measures how a house takes changes of its catalog: `make bench-catalog`.
//!
//! The catalog is made up, and the towers are those of `encoder::sample`, whose every answer can be told in advance. Rows go
//! into `target/report/index.json` and `docs/index/catalog.json`.
#![expect(clippy::print_stdout, reason = "figures are its output")]

mod fresh;
mod house;
mod reindex;
mod swaps;
#[path = "../bench/usage.rs"]
mod usage;

use std::{fs, path::PathBuf, time::Duration};

use clap::Parser;
use onnx::bench::report::{self, Row};

/// How large and how long.
#[derive(Debug, Parser)]
struct Options {
    /// Items of the catalog that is re-indexed whole and by a hundredth.
    #[arg(long, default_value_t = 50_000)]
    items: u64,
    /// How long generations follow one another under load.
    #[arg(long, default_value = "5m")]
    load: humantime::Duration,
    /// Items that are put in one after the other.
    #[arg(long, default_value_t = 300)]
    upserts: u64,
    /// Where the figures go.
    #[arg(long, default_value = "target/report/index.json")]
    report: PathBuf,
    /// Where they are kept for `docs/index.md`, which `make bench-index` writes.
    #[arg(long, default_value = "docs/index/catalog.json")]
    docs: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut figures = Vec::new();
    figures.extend(fresh::measure(options.upserts).await?);
    figures.extend(reindex::measure(options.items).await?);
    figures.extend(swaps::measure(Duration::from(options.load)).await?);

    let date = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let rows: Vec<Row> = figures
        .into_iter()
        .map(|(row, value, unit, goal): Figure| Row {
            row: row.to_owned(),
            value,
            unit: unit.to_owned(),
            goal: goal.to_owned(),
            command: "make bench-catalog".to_owned(),
            date: date[..10].to_owned(),
        })
        .collect();
    for row in &rows {
        println!(
            "{:<36} {:>12.3} {:<6} {}",
            row.row, row.value, row.unit, row.goal
        );
    }
    report::merge(&options.report, &rows)?;
    Ok(fs::write(
        &options.docs,
        serde_json::to_string_pretty(&rows)? + "\n",
    )?)
}

/// Name, value, unit and goal.
type Figure = (&'static str, f64, &'static str, &'static str);
