//! What may be kept of the generation that serves: vectors of items that did not change, and graphs that need few changes.

use std::fs::File;

use encoder::{artifact::Artifact, features::CatalogItem};
use generation::{
    manifest::{Manifest, ShardEntry},
    open::{self, Generation},
    rows::Rows,
    store::Store,
};
use index::{build::Before, items::Items};
use tokio::task;
use tracing::{info, warn};

use crate::{config::Config, error::Error};

/// The share of a graph's rows that may differ for it to be changed, not built anew: taking rows out makes it worse.
const FEW: f64 = 0.1;

/// The generation that serves, if its vectors are of the same artifact.
pub(crate) struct Kept {
    shards: Vec<Shard>,
    /// Whether its graphs were made as this run would make them.
    graphs: bool,
}

struct Shard {
    rows: Rows,
    items: Items,
    graph: File,
}

/// A graph to change, and which of its rows stay.
pub(crate) struct Graph<'a> {
    file: &'a File,
    count: usize,
    before: Vec<Option<usize>>,
}

impl Kept {
    /// Opens the generation that serves; `None` if there is none, it is of another artifact, or it is damaged.
    ///
    /// # Errors
    /// If CURRENT cannot be read.
    pub(crate) async fn open(
        store: &Store,
        config: &Config,
        artifact: &Artifact,
    ) -> Result<Option<Self>, Error> {
        let Some(current) = store.current().await? else {
            return Ok(None);
        };
        let id = current.value.serving;
        let opened = match open::open(store, &id).await {
            Ok(generation) if generation.manifest.space != artifact.space() => return Ok(None),
            Ok(generation) => {
                let graphs = is_same(&generation.manifest, config);
                task::spawn_blocking(move || Self::read(&generation, graphs)).await?
            }
            Err(cause) => Err(cause.into()),
        };
        Ok(match opened {
            Ok(kept) => {
                info!(
                    generation = id,
                    graphs = kept.graphs,
                    "what did not change is kept"
                );
                Some(kept)
            }
            Err(cause) => {
                warn!(generation = id, %cause, "nothing is kept");
                None
            }
        })
    }

    fn read(generation: &Generation, graphs: bool) -> Result<Self, Error> {
        let shard = |entry: &ShardEntry| {
            Ok::<_, Error>(Shard {
                rows: Rows::map(&generation.file(&entry.rows)?)?,
                items: Items::map(&generation.file(&entry.items_file)?)?,
                graph: generation.file(&entry.graph)?,
            })
        };
        let shards = generation.manifest.shards.iter().map(shard);
        Ok(Self {
            shards: shards.collect::<Result<_, _>>()?,
            graphs,
        })
    }

    /// The vector of an item whose key and features are what they were.
    pub(crate) fn vector(&self, item: &CatalogItem) -> Option<&[f32]> {
        self.shards.iter().find_map(|shard| {
            let row = shard.rows.ids().binary_search(&item.id).ok()?;
            let before: CatalogItem = serde_json::from_slice(shard.items.get(row)).ok()?;
            let same = before.key == item.key && before.features == item.features;
            same.then(|| shard.rows.row(row))
        })
    }

    /// The graph of a shard if few of its rows differ from these.
    pub(crate) fn graph(&self, shard: u32, ids: &[u64], vectors: &[f32]) -> Option<Graph<'_>> {
        let shard = self.shards.get(shard as usize).filter(|_| self.graphs)?;
        let rows = ids.iter().zip(vectors.chunks_exact(shard.rows.dim()));
        let before: Vec<_> = rows
            .map(|(id, vector)| {
                let row = shard.rows.ids().binary_search(id).ok()?;
                (shard.rows.row(row) == vector).then_some(row)
            })
            .collect();
        let kept = before.iter().flatten().count();
        let differ = (ids.len() - kept).max(shard.rows.len() - kept);
        (differ as f64 <= FEW * ids.len() as f64).then_some(Graph {
            file: &shard.graph,
            count: shard.rows.len(),
            before,
        })
    }
}

impl Graph<'_> {
    /// The same for the graph's builder.
    pub(crate) fn before(&self) -> Before<'_> {
        Before {
            graph: self.file,
            count: self.count,
            rows: &self.before,
        }
    }
}

/// Whether the graphs are divided and built as this run would do it.
fn is_same(manifest: &Manifest, config: &Config) -> bool {
    let engine = &manifest.engine;
    manifest.partitioner.shards == config.shards
        && engine.version == index::hnsw::version()
        && engine.connectivity == config.hnsw.connectivity
        && engine.expansion_add == config.hnsw.expansion_add
}
