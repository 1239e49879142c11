//! Builds one shard out of what the parts spooled for it: rows, graph, items, cells, the most popular.

use std::{fmt, path::Path, sync::Arc};

use encoder::signature::{self, Signature};
use generation::{
    manifest::ShardEntry,
    open::Generation,
    rows::{Numbers, Rows, Storage},
};
use index::{
    hnsw::{HnswConfig, Metric},
    rows::{RowsView, halves},
};
use serde::{Deserialize, Serialize};
use tokio::task;

use crate::{
    embed::Part,
    error::{Error, JobError},
    gather::{self, Gathered, ShardRows},
    job::{Done, Job},
    kept::{self, Graph},
    plan::{self, Settings},
    progress,
    spool::Kind,
    work::Made,
};

/// What a shard came to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Shard {
    /// Its number, its items, and the names of its files.
    pub(crate) entry: ShardEntry,
    /// Whether its graph was made out of a kept one.
    pub(crate) graph_kept: bool,
    /// Items left out because there is no ready vector of them.
    pub(crate) without_vector: u64,
    /// Ready vectors left out because the catalog has no such item.
    pub(crate) without_item: u64,
}

/// What parts were made of the catalog, all of them.
///
/// # Errors
/// [`JobError::Early`] with the first that is not done.
pub(crate) fn parts(job: &Job, step: &'static str) -> Result<Vec<Made<Part>>, Error> {
    let of = job.plan.settings.parts;
    let mut parts = Vec::new();
    for part in 1..=of {
        let done = job.work.done::<Part>(&plan::part_step(part))?;
        parts.push(done.ok_or_else(|| JobError::Early {
            step,
            missing: format!("part {part} of {of}"),
            command: format!("`embed --part {part}/{of}`"),
        })?);
    }
    Ok(parts)
}

/// Builds shard `shard`, from 0, unless that is done; its graph out of the one that served, if few of its rows differ.
///
/// All of the shard is in memory meanwhile: its spools, its vectors in order, and the graph.
///
/// # Errors
/// A part that is not done, [`Error::BadRows`], [`Error::Items`], [`Error::Empty`] or [`Error::EmptyShard`] if what the parts came to
/// is no catalog to index, [`Error::Duplicate`], or what the files' writers say.
pub(crate) async fn shard(job: &Arc<Job>, shard: u32) -> Result<Done<Shard>, Error> {
    let (step, name) = (job.plan.shard(shard)?, name(job, shard));
    if let Some(done) = job.work.done::<Shard>(&step)? {
        return Ok(Done::before(name, done.made));
    }
    let parts = parts(job, "build")?;
    job.check_total(&gather::total(&parts)).await?;
    let before = kept::generation(job).await;
    let made = make(job, parts, shard, before).await?;
    Ok(Done::now(name, made.made))
}

/// Builds a shard once more, and its graph of nothing but its rows.
///
/// # Errors
/// As [`shard`].
pub(crate) async fn anew(job: &Arc<Job>, shard: u32) -> Result<Made<Shard>, Error> {
    make(job, parts(job, "build")?, shard, None).await
}

/// How graphs are built and walked.
pub(crate) fn hnsw(settings: &Settings, signature: &Signature) -> HnswConfig {
    HnswConfig {
        metric: match signature.metric {
            signature::Metric::Dot => Metric::Dot,
            signature::Metric::Cosine => Metric::Cosine,
        },
        connectivity: settings.connectivity,
        expansion_add: settings.expansion_add,
        ..HnswConfig::default()
    }
}

async fn make(
    job: &Arc<Job>,
    parts: Vec<Made<Part>>,
    shard: u32,
    before: Option<Generation>,
) -> Result<Made<Shard>, Error> {
    let job = Arc::clone(job);
    task::spawn_blocking(move || {
        let making = job.work.begin(&plan::shard_step(shard))?;
        let made = write(&job, &parts, shard, before.as_ref(), making.dir())?;
        making.finish(made)
    })
    .await?
}

fn write(
    job: &Job,
    parts: &[Made<Part>],
    shard: u32,
    before: Option<&Generation>,
    dir: &Path,
) -> Result<Shard, Error> {
    let items = Gathered::read(job, parts, Kind::Items, shard)?;
    let vectors = match &job.plan.vectors {
        None => None,
        Some(input) => Some((
            input.path.as_path(),
            Gathered::read(job, parts, Kind::Vectors, shard)?,
        )),
    };
    let ready = vectors.as_ref().map(|(path, vectors)| (*path, vectors));
    let mut made = ShardRows::join(&job.plan.catalog.path, &items, ready)?;
    drop(vectors);
    if made.ids.is_empty() {
        return Err(Error::EmptyShard {
            shard,
            shards: job.plan.settings.shards,
            items: gather::total(parts).items,
        });
    }
    let settings = &job.plan.settings;
    let mut entry = ShardEntry {
        storage: settings.rows,
        ..ShardEntry::named(shard, made.ids.len() as u64)
    };
    let dim = job.artifact.signature().dim;
    write_rows(&dir.join(&entry.rows), dim, entry.storage, &mut made)?;
    let kept =
        before.and_then(|before| Graph::open(before, settings, shard, &made.ids, &made.vectors));
    let bar = progress::bar("index", made.ids.len() as u64);
    let rows = RowsView::new(&made.ids, &made.vectors, dim);
    let hnsw = hnsw(settings, job.artifact.signature());
    index::build::build(
        rows,
        &made.items,
        &hnsw,
        kept.as_ref().map(Graph::before),
        &dir.join(&entry.graph),
        &dir.join(&entry.items_file),
        &|rows| bar.inc(rows as u64),
    )?;
    bar.finish_and_clear();
    let cells = ShardEntry::cells_named(shard);
    let divided = index::build::cells(rows, hnsw.threads, &dir.join(&cells))?;
    entry.cells = divided.then_some(cells);
    made.popular.write(dir)?;
    Ok(Shard {
        entry,
        graph_kept: kept.is_some(),
        without_vector: made.without_vector,
        without_item: made.without_item,
    })
}

/// Writes ids and vectors. Where these are rounded, what was stored takes their place, so that all else is made of that.
fn write_rows(
    path: &Path,
    dim: usize,
    storage: Storage,
    made: &mut ShardRows<'_>,
) -> Result<(), Error> {
    match storage {
        Storage::F32 => Rows::write(path, dim, &made.ids, &made.vectors)?,
        Storage::F16 => {
            let rounded = halves::round(RowsView::new(&made.ids, &made.vectors, dim))?;
            Rows::write_stored(path, dim, &made.ids, Numbers::F16(&rounded))?;
            halves::widen(&rounded, &mut made.vectors);
        }
    }
    Ok(())
}

fn name(job: &Job, shard: u32) -> String {
    format!("shard {shard} of {}", job.plan.settings.shards)
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = self.entry.items;
        let graph = match self.graph_kept {
            true => "its graph made out of the one before",
            false => "its graph built",
        };
        write!(f, "{items} items, {graph}")
    }
}
