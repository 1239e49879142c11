//! Writes the files of every shard: rows, graph, items.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use encoder::{
    artifact::Artifact,
    features::CatalogItem,
    signature::{self, Signature},
};
use generation::{manifest::ShardEntry, partition, rows};
use index::{
    hnsw::{HnswConfig, Metric},
    rows::RowsView,
};
use tokio::task;

use crate::{
    config::Config,
    embed::Embedded,
    error::Error,
    kept::{Graph, Kept},
    popularity, progress,
};

/// Divides the items among the shards and writes each shard's files, and the popularity list, into
/// `dir`. Graphs that need few changes are made out of those that are `kept`.
///
/// # Errors
/// [`Error::Empty`] or [`Error::EmptyShard`] if there is nothing to put into one, else what the
/// files' writers say.
pub(crate) async fn shards(
    config: &Arc<Config>,
    artifact: &Artifact,
    embedded: Arc<Embedded>,
    kept: Option<Arc<Kept>>,
    dir: &Path,
) -> Result<Vec<ShardEntry>, Error> {
    if embedded.items.is_empty() {
        return Err(Error::Empty {
            left_out: embedded.left_out,
        });
    }
    let builder = Builder {
        dir: dir.to_owned(),
        hnsw: hnsw(config, artifact.signature()),
        embedded,
        kept,
    };
    let shards = config.shards;
    task::spawn_blocking(move || builder.write(shards)).await?
}

/// How graphs are built and walked.
pub(crate) fn hnsw(config: &Config, signature: &Signature) -> HnswConfig {
    HnswConfig {
        metric: match signature.metric {
            signature::Metric::Dot => Metric::Dot,
            signature::Metric::Cosine => Metric::Cosine,
        },
        connectivity: config.hnsw.connectivity,
        expansion_add: config.hnsw.expansion_add,
        ..HnswConfig::default()
    }
}

/// All that the files are made of.
struct Builder {
    dir: PathBuf,
    hnsw: HnswConfig,
    embedded: Arc<Embedded>,
    kept: Option<Arc<Kept>>,
}

impl Builder {
    fn write(&self, shards: u32) -> Result<Vec<ShardEntry>, Error> {
        let bar = progress::bar("index", self.embedded.items.len() as u64);
        let parts = divide(&self.embedded.items, shards)?;
        let entries = (0..shards)
            .zip(&parts)
            .map(|(shard, part)| self.write_shard(shard, part, &|rows| bar.inc(rows as u64)))
            .collect::<Result<_, _>>()?;
        popularity::write(&self.dir, &self.embedded.items)?;
        bar.finish_and_clear();
        Ok(entries)
    }

    /// Writes one shard of the items at the places `part`, whose ids ascend.
    fn write_shard(
        &self,
        shard: u32,
        part: &[usize],
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<ShardEntry, Error> {
        let Embedded {
            dim,
            items,
            vectors,
            ..
        } = &*self.embedded;
        let entry = ShardEntry::named(shard, part.len() as u64);
        let ids: Vec<u64> = part.iter().map(|&at| items[at].id).collect();
        let vectors: Vec<f32> = part
            .iter()
            .flat_map(|&at| &vectors[at * dim..(at + 1) * dim])
            .copied()
            .collect();
        let stored = part
            .iter()
            .map(|&at| stored(&items[at]))
            .collect::<Result<Vec<_>, _>>()?;
        rows::Rows::write(&self.dir.join(&entry.rows), *dim, &ids, &vectors)?;
        let kept = self.kept.as_ref();
        let before = kept.and_then(|kept| kept.graph(shard, &ids, &vectors));
        index::build::build(
            RowsView::new(&ids, &vectors, *dim),
            &stored,
            &self.hnsw,
            before.as_ref().map(Graph::before),
            &self.dir.join(&entry.graph),
            &self.dir.join(&entry.items_file),
            progress,
        )?;
        Ok(entry)
    }
}

/// Returns the places of each shard's items, by ascending id.
fn divide(items: &[CatalogItem], shards: u32) -> Result<Vec<Vec<usize>>, Error> {
    let mut places: Vec<usize> = (0..items.len()).collect();
    places.sort_unstable_by_key(|&at| items[at].id);
    let mut parts = vec![Vec::new(); shards as usize];
    for at in places {
        parts[partition::shard_of(items[at].id, shards) as usize].push(at);
    }
    match (0..shards).zip(&parts).find(|(_, part)| part.is_empty()) {
        None => Ok(parts),
        Some((shard, _)) => Err(Error::EmptyShard {
            shard,
            shards,
            items: items.len(),
        }),
    }
}

/// What a shard keeps of an item.
fn stored(item: &CatalogItem) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(item).map_err(|source| Error::Json {
        id: item.id,
        source,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn items(ids: impl IntoIterator<Item = u64>) -> Vec<CatalogItem> {
        let item = |id| CatalogItem {
            id,
            ..CatalogItem::default()
        };
        ids.into_iter().map(item).collect()
    }

    #[test]
    fn every_item_is_in_its_shard_and_ids_ascend() {
        let items = items((0..200).rev());
        let parts = divide(&items, 3).unwrap();
        assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 200);
        for (shard, part) in parts.iter().enumerate() {
            let ids: Vec<u64> = part.iter().map(|&at| items[at].id).collect();
            assert!(ids.is_sorted());
            let home = |id: &u64| partition::shard_of(*id, 3) as usize == shard;
            assert!(ids.iter().all(home), "{shard} {ids:?}");
        }
    }

    #[test]
    fn a_shard_that_would_be_empty_is_refused() {
        let cause = divide(&items([1]), 2).unwrap_err().to_string();
        assert!(cause.contains("none of the 1 items"), "{cause}");
    }
}
