//! Measures what recommenders add to a recall, on MovieLens-1M: `make bench-recommender`.
//!
//! A model with several interests is trained once; the house serves it in this process. Rows go into `target/report/recommender.json`
//! and `docs/recommender.json`, out of which `docs/recommender.md` is written.
#![expect(clippy::print_stdout, reason = "figures are its output")]

mod costs;
mod dead;
mod filters;
mod listings;
mod page;
mod reasons;
mod site;
mod trial;
#[path = "../bench/usage.rs"]
#[expect(dead_code, reason = "only the CPU time is asked for here")]
mod usage;
mod variety;

use std::path::PathBuf;

use clap::Parser;
use onnx::bench::report::{self, Row};
use stack::{house::SHARDS, prepare};

use crate::site::Site;

/// How much of it.
#[derive(Debug, Parser)]
struct Options {
    /// A folder of MovieLens-1M.
    #[arg(long, env = "TWOTOWER_ML1M", default_value = "data/ml-1m")]
    data: PathBuf,
    /// Where the model and the store are; what is there already is not made again.
    #[arg(long, default_value = "var/bench/recommender")]
    work: PathBuf,
    /// Users whose recalls tell HR@50 and coverage.
    #[arg(long, default_value_t = 2_000)]
    users: usize,
    /// Tokens that are replayed.
    #[arg(long, default_value_t = 1_000)]
    tokens: usize,
    /// Users whose first candidate is explained.
    #[arg(long, default_value_t = 100)]
    explained: usize,
    /// Rounds in which the cost of each feature is compared with a plain recall.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where the figures go.
    #[arg(long, default_value = "target/report/recommender.json")]
    report: PathBuf,
    /// Where they are kept, and the page that is written of them.
    #[arg(long, default_value = "docs")]
    docs: PathBuf,
}

/// Name, value, unit and goal.
type Figure = (String, f64, &'static str, &'static str);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let prepared = prepare::run(&prepare::Options {
        data: options.data.display().to_string(),
        work: options.work.clone(),
        towers: "onnx/towers".into(),
        recipe: "capsules".to_owned(),
        epochs: None,
    })?;
    let site = Site::start(&options.work, prepared, SHARDS).await?;
    let curve = variety::measure(&site, options.users).await?;
    let mut figures = curve.figures();
    figures.extend(listings::measure(&site, options.tokens).await?);
    figures.extend(filters::measure(&site).await?);
    figures.extend(reasons::measure(&site, options.explained).await?);
    figures.extend(costs::measure(&site, options.rounds).await?);
    figures.extend(trial::measure(&site).await?);
    let prepared = site.stop().await?;
    figures.extend(dead::measure(&options.work, prepared).await?);

    let date = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let rows: Vec<Row> = figures
        .into_iter()
        .map(|(row, value, unit, goal)| Row {
            row,
            value,
            unit: unit.to_owned(),
            goal: goal.to_owned(),
            command: "make bench-recommender".to_owned(),
            date: date[..10].to_owned(),
        })
        .collect();
    for row in &rows {
        println!(
            "{:<36} {:>12.4} {:<6} {}",
            row.row, row.value, row.unit, row.goal
        );
    }
    report::merge(&options.report, &rows)?;
    page::write(&options.docs, &rows, &curve)
}
