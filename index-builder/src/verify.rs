//! Measures what was built against floors; below one of them nothing is published.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use encoder::artifact::Artifact;
use generation::{manifest::ShardEntry, rows};
use index::{
    hnsw::HnswConfig,
    rows::RowsView,
    shard::{Options, Rows, Shard},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::task;

use crate::{
    build,
    config::{Config, VerifyConfig},
    error::Error,
    progress,
};

/// How many neighbours are compared, in shards that have enough.
const NEIGHBOURS: usize = 100;
/// The plan scans shards with fewer rows than this for each neighbour wanted; to measure the graph
/// of such a shard, fewer neighbours are compared.
const ROWS_A_NEIGHBOUR: usize = 10;
/// How far a query is from the row it is made of, as a share of the row's length.
const PERTURBATION: f32 = 0.5;

/// Returns HR@10 of the artifact's report after holding it against `floor`.
///
/// # Errors
/// [`Error::NoReport`] if there is none and the floor is over 0, [`Error::HitRate`] if it is lower.
pub(crate) fn report(artifact: &Artifact, floor: f64) -> Result<Option<f64>, Error> {
    let found = artifact
        .report()
        .and_then(|report| report["hr@10"].as_f64());
    let space = || artifact.space().to_owned();
    match found {
        None if floor > 0.0 => Err(Error::NoReport {
            space: space(),
            floor,
        }),
        Some(found) if found < floor => Err(Error::HitRate {
            space: space(),
            found,
            floor,
        }),
        found => Ok(found),
    }
}

/// Opens every shard as it will serve and returns the recall of their graphs, each item weighing
/// the same.
///
/// # Errors
/// [`Error::AnnRecall`] at the first shard under the floor, or what opening a shard says.
pub(crate) async fn graphs(
    config: &Arc<Config>,
    artifact: &Artifact,
    shards: &[ShardEntry],
    dir: &Path,
) -> Result<f64, Error> {
    let (config, shards, dir) = (Arc::clone(config), shards.to_vec(), dir.to_owned());
    let hnsw = build::hnsw(&config, artifact.signature());
    task::spawn_blocking(move || {
        let bar = progress::bar("verify", shards.len() as u64);
        let (mut found, mut items) = (0.0, 0.0);
        for entry in &shards {
            let weight = entry.items as f64;
            found += weight * graph(&config.verify, &dir, entry, &hnsw)?;
            items += weight;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(found / items)
    })
    .await?
}

/// Returns the recall of one shard's graph, if it is not under the floor.
fn graph(
    config: &VerifyConfig,
    dir: &Path,
    entry: &ShardEntry,
    hnsw: &HnswConfig,
) -> Result<f64, Error> {
    let file = |name: &str| {
        let path: PathBuf = dir.join(name);
        File::open(&path).map_err(|source| Error::Read { path, source })
    };
    let shard = open(file, entry, hnsw)?;
    let k = NEIGHBOURS.min(shard.len() / ROWS_A_NEIGHBOUR).max(1);
    let mut random = StdRng::seed_from_u64(config.seed);
    let mut found = 0;
    for _ in 0..config.sample {
        let query = query(shard.rows(), &mut random);
        found += overlap(&shard, &query, k)?;
    }
    let recall = found as f64 / (config.sample * k) as f64;
    if recall < config.ann_recall_floor {
        return Err(Error::AnnRecall {
            shard: entry.shard,
            k,
            found: recall,
            floor: config.ann_recall_floor,
        });
    }
    Ok(recall)
}

/// Opens a shard from its files, so that its graph is walked however few rows it has.
pub(crate) fn open(
    file: impl Fn(&str) -> Result<File, Error>,
    entry: &ShardEntry,
    hnsw: &HnswConfig,
) -> Result<Shard<Mapped>, Error> {
    let rows = Mapped(rows::Rows::map(&file(&entry.rows)?)?);
    let options = Options {
        exact_below: 0,
        hnsw: hnsw.clone(),
    };
    Ok(Shard::open(
        rows,
        file(&entry.graph)?,
        file(&entry.items_file)?,
        &options,
    )?)
}

/// Makes a query near a row, as a user's interest is near items but is none.
fn query(rows: RowsView<'_>, random: &mut StdRng) -> Vec<f32> {
    let row = rows.row(random.random_range(0..rows.len()));
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    // Uniform noise of this width has the wanted length on average.
    let width = PERTURBATION * length * (3.0 / row.len() as f32).sqrt();
    row.iter()
        .map(|value| value + width * random.random_range(-1.0..=1.0))
        .collect()
}

/// Counts how many of the `k` that the graph finds score among the true best `k`.
fn overlap(shard: &Shard<Mapped>, query: &[f32], k: usize) -> Result<usize, Error> {
    let truth = shard.search(query, k, &[], true)?.hits;
    let found = shard.search(query, k, &[], false)?.hits;
    let last = truth.last().map_or(f32::INFINITY, |hit| hit.score);
    Ok(found.iter().filter(|hit| hit.score >= last).count())
}

/// Rows in their file.
pub(crate) struct Mapped(rows::Rows);

impl Rows for Mapped {
    fn view(&self) -> RowsView<'_> {
        RowsView::new(self.0.ids(), self.0.vectors(), self.0.dim())
    }
}
