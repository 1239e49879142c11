//! Measures what was built against floors; below one of them nothing is published.

use std::{fmt, sync::Arc};

use encoder::artifact::Artifact;
use generation::{open, store::Store};
use serde::{Deserialize, Serialize};
use tokio::task;
use tracing::warn;

pub(crate) use crate::verify::measure::open;
use crate::{
    build::{self, Shard},
    config::{HnswConfig, VerifyConfig},
    error::{Error, JobError},
    job::{Done, Job},
    plan, progress,
    verify::measure::Measured,
    work::Made,
};

mod measure;

/// What was measured, in the directory of the job.
const FILE: &str = "verified.json";

/// What was measured of a job.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Verified {
    /// Items in all shards.
    pub(crate) items: u64,
    /// The share of the true nearest 100 that searches find, each item weighing the same.
    pub(crate) recall: f64,
    /// Candidates that a search must look at for that in the worst shard.
    pub(crate) expansion_search: usize,
    /// HR@10 of the artifact's report, if it has one.
    pub(crate) hit_rate: Option<f64>,
    /// The floors that all of this is over.
    pub(crate) floors: VerifyConfig,
    /// How hard searches of graphs were to look.
    pub(crate) hnsw: HnswConfig,
    /// The hashes of the graphs, in the order of the shards.
    pub(crate) graphs: Vec<String>,
}

/// Measures a job that is built, unless that is done. A graph that was made out of a kept one and finds too little is built anew.
///
/// # Errors
/// A shard that is not built, [`Error::AnnRecall`] at the first one under the floor, what the other floors refuse, or what opening a
/// shard says.
pub(crate) async fn job(job: &Arc<Job>) -> Result<Done<Verified>, Error> {
    let name = "verify".to_owned();
    let mut shards = built(job, "verify")?;
    if let Some(before) = verified(job, &shards)? {
        return Ok(Done::before(name, before));
    }
    let hit_rate = report(&job.artifact, job.config.verify.hr_floor)?;
    job.check_total(&crate::gather::total(&build::parts(job, "verify")?))
        .await?;
    let bar = progress::bar("verify", shards.len() as u64);
    let (mut found, mut items) = (0.0, 0);
    let mut expansion_search = 0;
    for (shard, made) in (0..).zip(&mut shards) {
        let measured = measured(job, shard, made).await?;
        found += made.made.entry.items as f64 * measured.recall;
        items += made.made.entry.items;
        expansion_search = measured.expansion_search.max(expansion_search);
        bar.inc(1);
    }
    bar.finish_and_clear();
    self::items(&job.store, items, job.config.verify.items_floor).await?;
    let verified = Verified {
        items,
        recall: found / items as f64,
        expansion_search,
        hit_rate,
        floors: job.config.verify.clone(),
        hnsw: job.config.hnsw.clone(),
        graphs: graphs(&shards),
    };
    job.work.write(FILE, &verified)?;
    Ok(Done::now(name, verified))
}

/// What was measured of these shards under these floors, if it was.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn verified(job: &Job, shards: &[Made<Shard>]) -> Result<Option<Verified>, Error> {
    let before: Option<Verified> = job.work.read(FILE)?;
    Ok(before.filter(|before| {
        before.floors == job.config.verify
            && before.hnsw == job.config.hnsw
            && before.graphs == graphs(shards)
    }))
}

/// The shards of a job.
///
/// # Errors
/// [`JobError::Early`] with the first that is not built.
pub(crate) fn built(job: &Job, step: &'static str) -> Result<Vec<Made<Shard>>, Error> {
    let shards = job.plan.settings.shards;
    let mut built = Vec::new();
    for shard in 0..shards {
        let done = job.work.done::<Shard>(&plan::shard_step(shard))?;
        built.push(done.ok_or_else(|| JobError::Early {
            step,
            missing: format!("shard {shard} of {shards}"),
            command: format!("`build --shard {shard}`"),
        })?);
    }
    Ok(built)
}

fn graphs(shards: &[Made<Shard>]) -> Vec<String> {
    let hash = |made: &Made<Shard>| {
        let file = made.files.get(&made.made.entry.graph);
        file.map(|file| file.blake3.clone()).unwrap_or_default()
    };
    shards.iter().map(hash).collect()
}

/// Measures a shard, a second time if its graph has to be built anew.
async fn measured(job: &Arc<Job>, shard: u32, made: &mut Made<Shard>) -> Result<Measured, Error> {
    match measure(job, shard, made).await {
        Ok(measured) if made.made.graph_kept && !measured.enough => {
            warn!(shard, recall = measured.recall, "its graph is built anew");
        }
        Err(cause @ Error::AnnRecall { way: "graph", .. }) if made.made.graph_kept => {
            warn!(shard, %cause, "its graph is built anew");
        }
        measured => return measured,
    }
    *made = build::anew(job, shard).await?;
    measure(job, shard, made).await
}

async fn measure(job: &Arc<Job>, shard: u32, made: &Made<Shard>) -> Result<Measured, Error> {
    let (job, made) = (Arc::clone(job), made.clone());
    task::spawn_blocking(move || {
        job.check_shard(shard, &made)?;
        let dir = job.work.path(&plan::shard_step(shard));
        let hnsw = build::hnsw(&job.plan.settings, job.artifact.signature());
        measure::shard(&job.config, &dir, &made.made.entry, &hnsw)
    })
    .await?
}

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

/// Holds the number of items against that of the generation that serves, if one does that can be read.
///
/// # Errors
/// [`Error::Items`] if they are less than the share `floor` of those, or what the store says.
pub(crate) async fn items(store: &Store, found: u64, floor: f64) -> Result<(), Error> {
    let Some(current) = store.current().await? else {
        return Ok(());
    };
    let generation = current.value.serving;
    let Ok(serving) = open::open(store, &generation).await else {
        return Ok(());
    };
    let before = serving.manifest.items;
    // That there is nothing to index has an error of its own.
    if found > 0 && (found as f64) < floor * before as f64 {
        return Err(Error::Items {
            generation,
            before,
            found,
            floor,
        });
    }
    Ok(())
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            items,
            recall,
            expansion_search,
            ..
        } = self;
        write!(
            f,
            "{items} items, ann recall@100 {recall:.4}, looking at {expansion_search} candidates"
        )
    }
}
