//! Spools one part of the catalog: every item with the vector that an item tower makes of it, or that was made elsewhere.

use std::{fmt, path::Path, sync::Arc};

use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use service::client::Connector;
use tokio::task;

use crate::{
    embed::{keep::Batch, read_ahead::ReadAhead, ready::Ready},
    error::Error,
    items::{Entry, Items, NO_ROW, Slice},
    job::{Done, Job},
    kept::Vectors,
    progress,
    spool::{Kind, Record, Spools},
    updates::Updates,
};

mod keep;
mod read_ahead;
pub(crate) mod ready;
mod towers;

/// Chunks read ahead of the towers, and chunks sent whose answers are awaited.
const AHEAD: usize = 4;

/// What a part of the catalog came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Part {
    /// Rows of the catalog.
    pub(crate) rows: u64,
    /// Rows that hold no item; left out.
    pub(crate) bad: u64,
    /// Items that the artifact makes no vector of; left out.
    pub(crate) left_out: u64,
    /// Items spooled.
    pub(crate) items: u64,
    /// Those of them whose vectors were kept from the generation before.
    pub(crate) kept: u64,
    /// Those of them that the artifact does not know; indexed by their other features.
    pub(crate) unknown: u64,
    /// Ready vectors spooled.
    pub(crate) vectors: u64,
}

/// Spools part `part` of `of`, from 1, unless that is done.
///
/// Reading, embedding and spooling run at once; each waits for the next when that falls behind.
///
/// # Errors
/// The first of: an input that changed since it was planned or cannot be read, a refusal by the item tower, an answer of another
/// space, length or count, a vector that is not finite or is zero.
pub(crate) async fn part(job: &Arc<Job>, part: u32, of: u32) -> Result<Done<Part>, Error> {
    let step = job.plan.part(part, of)?;
    let name = format!("part {part} of {of}");
    let begin = {
        let (job, step) = (Arc::clone(job), step.clone());
        move || {
            job.plan.check_inputs()?;
            match job.work.done::<Part>(&step)? {
                Some(done) => Ok(Err(done)),
                None => Ok::<_, Error>(Ok(job.work.begin(&step)?)),
            }
        }
    };
    let making = match task::spawn_blocking(begin).await?? {
        Ok(making) => making,
        Err(done) => return Ok(Done::before(name, done.made)),
    };
    let updates = Updates::read(&job.store, job.plan.updates, &job.plan.space).await?;
    let updates = Arc::new(updates);
    let slice = Slice::new(part, of);
    let made = match &job.plan.vectors {
        None => embedded(job, slice, updates, making.dir()).await?,
        Some(vectors) => {
            let (job, path) = (Arc::clone(job), vectors.path.clone());
            let dir = making.dir().to_owned();
            task::spawn_blocking(move || taken(&job, slice, &updates, &path, &dir)).await??
        }
    };
    let made = task::spawn_blocking(move || making.finish(made)).await??;
    Ok(Done::now(name, made.made))
}

/// Has every item embedded that the artifact knows, and the others if `embed.unknown_items` says so; an item that did not change
/// has the vector that it had.
async fn embedded(
    job: &Arc<Job>,
    slice: Slice,
    updates: Arc<Updates>,
    dir: &Path,
) -> Result<Part, Error> {
    let Job {
        config, artifact, ..
    } = &**job;
    let (space, dim) = (artifact.space(), artifact.signature().dim);
    let known = |entry: &Entry| artifact.knows_item(entry.item.id);
    let items = Items::open(&job.plan, artifact, slice, updates)?;
    let before = Vectors::open(job).await?.map(Arc::new);
    let bar = progress::bar("embed", 0);
    let spools = Spools::create(dir, Kind::Items, job.plan.settings.shards)?;
    let (keep, kept) = keep::begin(spools, dim, bar.clone());
    let chunk = config.embed.chunk;
    let reading = ReadAhead::begin(items, before, chunk, bar.clone(), keep.clone());
    let connector =
        Connector::new(&config.identity).map_err(|cause| Error::Identity(format!("{cause:#}")))?;
    let (towers, deadline) = (&config.item_towers, config.embed.deadline);
    let mut answers = towers::embed(&connector, towers, space, deadline, reading.chunks).await?;

    let (mut answered, mut part) = (0, Part::default());
    while let Some(answer) = answers.next().await {
        let (chunk, answer) = answer?;
        towers::check(&chunk, &answer, space, dim, known)?;
        answered += chunk.len() as u64;
        let mut batch = Batch::default();
        for (entry, vector) in chunk.into_iter().zip(answer.values.chunks_exact(dim)) {
            match (known(&entry), towers::is_zero(vector)) {
                (false, true) => part.left_out += 1,
                (known, _) => {
                    part.unknown += u64::from(!known);
                    batch.push(entry, vector);
                }
            }
        }
        if keep.send(batch).await.is_err() {
            break;
        }
    }
    drop((answers, keep));
    part.items = kept.await??;
    let read = reading.done.await??;
    bar.finish_and_clear();
    if read.asked != answered {
        return Err(Error::Unanswered {
            asked: read.asked,
            answered,
        });
    }
    part.rows = read.counts.rows;
    part.bad = read.counts.bad;
    part.left_out += read.counts.left_out;
    part.kept = read.kept;
    part.unknown += read.unknown;
    Ok(part)
}

/// Takes the ready vectors of every n-th block of their file, and the items of every n-th block of the catalog: they come together
/// where their shard is built.
fn taken(
    job: &Job,
    slice: Slice,
    updates: &Arc<Updates>,
    vectors: &Path,
    dir: &Path,
) -> Result<Part, Error> {
    let shards = job.plan.settings.shards;
    let mut part = Part {
        vectors: take_vectors(job, slice, updates, vectors, dir)?,
        ..Part::default()
    };
    let mut items = Items::open(&job.plan, &job.artifact, slice, Arc::clone(updates))?;
    let mut spools = Spools::create(dir, Kind::Items, shards)?;
    let bar = progress::bar("read", 0);
    while let Some(entry) = items.next()? {
        keep::push(&mut spools, &entry, &[])?;
        part.items += 1;
        bar.set_length(items.estimate());
        bar.inc(1);
    }
    bar.finish_and_clear();
    spools.finish()?;
    (part.rows, part.bad) = (items.counts().rows, items.counts().bad);
    Ok(part)
}

fn take_vectors(
    job: &Job,
    slice: Slice,
    updates: &Updates,
    path: &Path,
    dir: &Path,
) -> Result<u64, Error> {
    let artifact = &job.artifact;
    let mut ready = Ready::open(path, artifact)?;
    let mut spools = Spools::create(dir, Kind::Vectors, job.plan.settings.shards)?;
    let mut push = |id, row, vector: &[f32]| {
        let record = Record {
            id,
            row,
            popularity: 0,
            vector: &[],
            item: &[],
        };
        spools.push(&record, vector)
    };
    let bar = progress::bar("vectors", ready.rows());
    let (mut block, mut taken) = (0, 0);
    while let Some(read) = ready.next()? {
        bar.inc(read.ids.len() as u64);
        block += 1;
        if !slice.has(block - 1) {
            continue;
        }
        taken += read.ids.len() as u64;
        let rows = read.vectors.chunks_exact(artifact.signature().dim);
        for (row, (&id, vector)) in (read.first..).zip(read.ids.iter().zip(rows)) {
            push(id, row, vector)?;
        }
    }
    if slice.has(0) {
        for (id, vector) in &updates.vectors {
            push(*id, NO_ROW, vector)?;
        }
        taken += updates.vectors.len() as u64;
    }
    bar.finish_and_clear();
    spools.finish()?;
    Ok(taken)
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rows,
            bad,
            left_out,
            items,
            kept,
            unknown,
            vectors,
        } = self;
        write!(
            f,
            "{items} items of {rows} rows, {kept} kept, {unknown} unknown to the artifact; left out: {left_out} unknown, {bad} bad \
             rows; {vectors} ready vectors"
        )
    }
}
