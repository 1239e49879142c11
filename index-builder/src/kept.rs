//! What may be kept of the generation that served when the job was planned: vectors of items that did not change, and graphs that
//! need few changes.

use std::{borrow::Cow, fs::File, sync::Arc};

use encoder::features::CatalogItem;
use generation::{
    manifest::Manifest,
    open::{self, Generation},
    partition,
    rows::{Rows, Storage},
};
use index::{build::Before, items::Items};
use tokio::task;
use tracing::{info, warn};

use crate::{error::Error, job::Job, plan::Settings};

/// The share of a graph's rows that may differ for it to be changed, not built anew: taking rows out makes it worse.
const FEW: f64 = 0.1;

/// The vectors of the generation that served, if they are of the same artifact.
pub(crate) struct Vectors {
    shards: Vec<(Rows, Items)>,
}

/// A graph to change, and which of its rows stay.
pub(crate) struct Graph {
    file: File,
    count: usize,
    rows: Vec<Option<usize>>,
}

impl Vectors {
    /// Opens them; `None` if nothing is to be kept, nothing served, it was of another artifact, its vectors were rounded and are not
    /// to be, or it is damaged.
    ///
    /// # Errors
    /// If a thread of the run did not finish.
    pub(crate) async fn open(job: &Arc<Job>) -> Result<Option<Self>, Error> {
        let generation = generation(job).await;
        let storage = job.plan.settings.rows;
        let Some(generation) = generation.filter(|before| is_as_good(&before.manifest, storage))
        else {
            return Ok(None);
        };
        let id = generation.manifest.id.clone();
        match task::spawn_blocking(move || Self::read(&generation)).await? {
            Ok(vectors) => {
                info!(
                    generation = id,
                    "vectors of items that did not change are kept"
                );
                Ok(Some(vectors))
            }
            Err(cause) => {
                warn!(generation = id, %cause, "no vectors are kept");
                Ok(None)
            }
        }
    }

    fn read(generation: &Generation) -> Result<Self, Error> {
        let mut shards = Vec::new();
        for entry in &generation.manifest.shards {
            let rows = Rows::map(&generation.file(&entry.rows)?)?;
            let items = Items::map(&generation.file(&entry.items_file)?)?;
            shards.push((rows, items));
        }
        Ok(Self { shards })
    }

    /// The vector of an item whose key and features are what they were.
    pub(crate) fn of(&self, item: &CatalogItem) -> Option<Cow<'_, [f32]>> {
        let shard = partition::shard_of(item.id, self.shards.len() as u32);
        let (rows, items) = &self.shards[shard as usize];
        let row = rows.ids().binary_search(&item.id).ok()?;
        let before: CatalogItem = serde_json::from_slice(items.get(row)).ok()?;
        let same = before.key == item.key && before.features == item.features;
        same.then(|| rows.row(row))
    }
}

impl Graph {
    /// The graph of a shard if it was made as the job would make it and few of its rows differ from these; `None` too if it is
    /// damaged.
    ///
    /// Blocks the thread.
    pub(crate) fn open(
        generation: &Generation,
        settings: &Settings,
        shard: u32,
        ids: &[u64],
        vectors: &[f32],
    ) -> Option<Self> {
        if !is_same(&generation.manifest, settings) {
            return None;
        }
        let read = || {
            let entry = &generation.manifest.shards[shard as usize];
            let rows = Rows::map(&generation.file(&entry.rows)?)?;
            Ok((rows, generation.file(&entry.graph)?))
        };
        let opened: Result<_, Error> = read();
        let (rows, file) = opened
            .inspect_err(|cause| warn!(shard, %cause, "its graph is not kept"))
            .ok()?;
        Self::changed(&rows, file, ids, vectors)
    }

    fn changed(rows: &Rows, file: File, ids: &[u64], vectors: &[f32]) -> Option<Self> {
        let new = ids.iter().zip(vectors.chunks_exact(rows.dim()));
        let before: Vec<_> = new
            .map(|(id, vector)| {
                let row = rows.ids().binary_search(id).ok()?;
                (rows.row(row) == vector).then_some(row)
            })
            .collect();
        let kept = before.iter().flatten().count();
        let differ = (ids.len() - kept).max(rows.len() - kept);
        (differ as f64 <= FEW * ids.len() as f64).then_some(Self {
            file,
            count: rows.len(),
            rows: before,
        })
    }

    /// The same for the graph's builder.
    pub(crate) fn before(&self) -> Before<'_> {
        Before {
            graph: &self.file,
            count: self.count,
            rows: &self.rows,
        }
    }
}

/// Opens the generation that served, if something of it may be kept.
pub(crate) async fn generation(job: &Job) -> Option<Generation> {
    let before = job.plan.current.as_ref();
    let id = &before.filter(|_| job.plan.settings.reuse)?.serving;
    match open::open(&job.store, id).await {
        Ok(generation) => Some(generation).filter(|it| it.manifest.space == job.plan.space),
        Err(cause) => {
            warn!(generation = id, %cause, "nothing is kept");
            None
        }
    }
}

/// Whether nothing was lost of the vectors that the storage would keep.
fn is_as_good(manifest: &Manifest, storage: Storage) -> bool {
    let mut shards = manifest.shards.iter();
    storage == Storage::F16 || shards.all(|shard| shard.storage == Storage::F32)
}

/// Whether the graphs are divided and built as this job does it.
fn is_same(manifest: &Manifest, settings: &Settings) -> bool {
    let engine = &manifest.engine;
    manifest.partitioner.shards == settings.shards
        && engine.version == index::hnsw::version()
        && engine.connectivity == settings.connectivity
        && engine.expansion_add == settings.expansion_add
}
