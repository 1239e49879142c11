//! Lets what was built and verified serve.

use std::{fs, io, path::Path, sync::Arc, time::Instant};

use encoder::signature;
use generation::{
    manifest::{CatalogEntry, Engine, Manifest, Metric},
    open,
    publish::{Draft, Staging},
    store::Current,
};
use serde::{Deserialize, Serialize};
use tokio::task;

use crate::{
    build::{self, Shard},
    error::{Error, JobError},
    gather,
    job::{Done, Job},
    plan,
    popularity::{self, Popular},
    summary::Summary,
    verify::{self, Verified},
    work::{Made, unwritable},
};

/// The generation that the job became, in the directory of the job.
const FILE: &str = "published.json";

#[derive(Debug, Deserialize, Serialize)]
struct Published {
    generation: String,
}

/// Publishes a job that is verified, unless that is done: CURRENT names the generation from then on.
///
/// The store gets links to the files of the job where both are on one file system, else copies.
///
/// # Errors
/// [`JobError::Early`] if it is not verified, [`JobError::Overtaken`] if another generation was published since it was planned, or
/// what the store says.
pub(crate) async fn job(job: &Arc<Job>) -> Result<Done<Summary>, Error> {
    let (name, begun) = ("publish".to_owned(), Instant::now());
    let shards = verify::built(job, "publish")?;
    let verified = verify::verified(job, &shards)?.ok_or_else(|| JobError::Early {
        step: "publish",
        missing: "verification".to_owned(),
        command: "`verify`".to_owned(),
    })?;
    if let Some(manifest) = before(job, &shards).await? {
        return Ok(Done::before(
            name,
            summary(job, &shards, &verified, manifest)?,
        ));
    }
    let (staged, built) = (Arc::clone(job), shards.clone());
    let staging = task::spawn_blocking(move || stage(&staged, &built)).await??;
    // Read after the staging did, which expects what it read itself: if this is the plan's, so is that.
    let current = job.store.current().await?;
    expect(job, current.map(|current| current.value.without_share()))?;
    let draft = draft(job, &shards, &verified);
    let manifest = staging.commit_as(draft, job.config.publish_as).await?;
    let generation = manifest.id.clone();
    job.work.write(FILE, &Published { generation })?;
    let mut summary = summary(job, &shards, &verified, manifest)?;
    summary.seconds = begun.elapsed().as_secs_f64();
    Ok(Done::now(name, summary))
}

/// The generation that the job became already: the one that is noted, or one that CURRENT came to name since if its files are the job's,
/// whose publisher was killed before it could note that.
async fn before(job: &Job, shards: &[Made<Shard>]) -> Result<Option<Manifest>, Error> {
    let noted: Option<Published> = job.work.read(FILE)?;
    let ids = match noted {
        Some(noted) => vec![noted.generation],
        None => {
            let current = job.store.current().await?.map(|current| current.value);
            let planned = job.plan.current.iter().flat_map(Current::generations);
            let planned: Vec<_> = planned.collect();
            let named = current.iter().flat_map(Current::generations);
            let new = named.filter(|id| !planned.contains(id));
            new.map(str::to_owned).collect()
        }
    };
    for id in ids {
        let Ok(generation) = open::open(&job.store, &id).await else {
            continue;
        };
        let manifest = generation.manifest;
        let mut files = shards.iter().flat_map(|made| &made.files);
        let same = files
            .all(|(name, file)| name == popularity::FILE || manifest.files.get(name) == Some(file));
        if same {
            return Ok(Some(manifest));
        }
    }
    Ok(None)
}

/// Puts the files of the job into a directory of the store.
fn stage(job: &Job, shards: &[Made<Shard>]) -> Result<Staging, Error> {
    let staging = Staging::create(&job.store)?;
    let mut popular = Popular::default();
    for (shard, made) in (0..).zip(shards) {
        job.check_shard(shard, made)?;
        let dir = job.work.path(&plan::shard_step(shard));
        for name in made.made.entry.files() {
            link(&dir.join(name), &staging.dir().join(name))?;
        }
        popular.merge(&dir)?;
    }
    popular.write(staging.dir())?;
    Ok(staging)
}

/// Files of a job are never written again, only unlinked: so a link is as good as a copy.
fn link(from: &Path, to: &Path) -> Result<(), Error> {
    match fs::hard_link(from, to) {
        Err(cause) if cause.kind() == io::ErrorKind::CrossesDevices => fs::copy(from, to).map(drop),
        linked => linked,
    }
    .map_err(unwritable(to))
}

fn expect(job: &Job, found: Option<Current>) -> Result<(), JobError> {
    let words = |current: &Option<Current>| {
        let named = current.iter().flat_map(Current::generations);
        let named = named.collect::<Vec<_>>().join(", ");
        if named.is_empty() {
            "nothing".to_owned()
        } else {
            named
        }
    };
    match found == job.plan.current {
        true => Ok(()),
        false => Err(JobError::Overtaken {
            planned: words(&job.plan.current),
            found: words(&found),
        }),
    }
}

fn draft(job: &Job, shards: &[Made<Shard>], verified: &Verified) -> Draft {
    let signature = job.artifact.signature();
    Draft {
        space: job.artifact.space().to_owned(),
        dim: signature.dim,
        metric: match signature.metric {
            signature::Metric::Dot => Metric::Dot,
            signature::Metric::Cosine => Metric::Cosine,
        },
        shards: shards.iter().map(|made| made.made.entry.clone()).collect(),
        engine: Engine {
            name: "usearch".to_owned(),
            version: index::hnsw::version().to_owned(),
            connectivity: job.plan.settings.connectivity,
            expansion_add: job.plan.settings.expansion_add,
            expansion_search: verified.expansion_search,
        },
        updates_from: job.plan.updates.up_to,
        catalog: Some(CatalogEntry {
            blake3: job.plan.catalog.blake3.clone(),
            delta: job.plan.updates.after,
        }),
        report: job.artifact.report().cloned(),
    }
}

fn summary(
    job: &Job,
    shards: &[Made<Shard>],
    verified: &Verified,
    manifest: Manifest,
) -> Result<Summary, Error> {
    let total = gather::total(&build::parts(job, "publish")?);
    Ok(Summary {
        items: manifest.items,
        kept: total.kept,
        unknown_items: total.unknown,
        left_out: total.left_out,
        without_vector: shards.iter().map(|made| made.made.without_vector).sum(),
        without_item: shards.iter().map(|made| made.made.without_item).sum(),
        bad_lines: total.bad,
        shards: manifest.shards.len(),
        bytes: manifest.files.values().map(|file| file.bytes).sum(),
        ann_recall: verified.recall,
        expansion_search: verified.expansion_search,
        hit_rate: verified.hit_rate,
        seconds: 0.0,
        generation: manifest.id,
        space: manifest.space,
    })
}
