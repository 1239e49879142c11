//! Measures a whole recall, each server in a process of its own: `make bench-gateway`.
//!
//! What a recall costs over the same work with nothing around it, what it costs beside a service in Python, and how many bytes go
//! between a gateway and its item towers. Rows go into `target/report/gateway.json` and `docs/gateway.json`.
#![expect(clippy::print_stdout, reason = "figures are its output")]

mod asked;
mod bytes;
#[path = "../bench/calls.rs"]
mod calls;
mod catalog;
mod compare;
mod costs;
mod echo;
mod figure;
#[path = "../bench/floor.rs"]
mod floor;
mod house;
mod latency;
mod peer;
#[path = "../bench/process.rs"]
mod process;
mod proxy;
#[path = "../bench/quantiles.rs"]
mod quantiles;
mod raw;
mod recalls;
mod site;
mod stage;
#[path = "../bench/tensors.rs"]
mod tensors;
mod truth;
#[path = "../bench/usage.rs"]
#[expect(dead_code, reason = "other benches count descriptors, too")]
mod usage;
#[path = "../bench/users.rs"]
mod users;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};

use crate::site::Site;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What to measure, and how long.
#[derive(Debug, Parser)]
struct Options {
    /// A model, and a store whose only artifact it is; the first is compared in every catalog, the others in the first.
    #[arg(long = "model", value_name = "NAME=STORE", required = true)]
    models: Vec<String>,
    /// The prepared dataset that the models were trained on.
    #[arg(long)]
    data: PathBuf,
    /// Items of a catalog.
    #[arg(long, default_values_t = [3_700, 100_000])]
    items: Vec<usize>,
    /// What to measure; all of it, if nothing is named.
    #[arg(long)]
    only: Vec<Part>,
    /// The Python of the peer; without it the peer is not measured.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Where the binaries are.
    #[arg(long, default_value = "target/dist")]
    bin: PathBuf,
    /// Where catalogs and what is built of them are kept from run to run.
    #[arg(long, default_value = "var/bench/gateway")]
    work: PathBuf,
    /// Calls of one measurement.
    #[arg(long, default_value_t = 6_000)]
    calls: usize,
    /// Callers at once.
    #[arg(long, default_value_t = 4)]
    callers: usize,
    /// Measurements that alternate.
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// How long one measurement of latency takes, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Where the figures go.
    #[arg(long, default_value = "target/report/gateway.json")]
    report: PathBuf,
    /// Where they are kept.
    #[arg(long, default_value = "docs/gateway.json")]
    docs: PathBuf,
}

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The first model in every catalog.
    Catalogs,
    /// The other models in the first catalog.
    Models,
    /// The bytes between a gateway and its item towers.
    Bytes,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("echo") {
        return echo::serve(echo::Options::parse_from(std::env::args().skip(1))).await;
    }
    let options = Options::parse();
    encoder::session::init(&encoder::session::library()?)?;
    let models = options.models.iter().map(|model| {
        let (name, store) = model.split_once('=').context("a model is NAME=STORE")?;
        anyhow::Ok((name, Path::new(store)))
    });
    let models = models.collect::<Result<Vec<_>, _>>()?;
    let first = options.items.first().copied().context("no catalog")?;
    let (name, store) = models[0];
    if options.wants(Part::Catalogs) {
        for &items in &options.items {
            let site = Site::of(name, store, items, SHARDS, &options).await?;
            figure::keep(&options, compare::whole(&site, &options).await?)?;
        }
    }
    if options.wants(Part::Models) {
        for &(name, store) in &models[1..] {
            let site = Site::of(name, store, first, SHARDS, &options).await?;
            figure::keep(&options, compare::model(&site, &options).await?)?;
        }
    }
    if options.wants(Part::Bytes) {
        figure::keep(
            &options,
            bytes::measure(name, store, first, &options).await?,
        )?;
    }
    Ok(())
}

/// Shards of a catalog that recalls are compared in.
const SHARDS: u32 = 2;
/// Items of an answer.
const K: usize = 100;
/// Users who ask in turn.
const USERS: usize = 512;
