//! The work of a recall alone, on one thread: the model on ready tensors, and the search of the shards.

use encoder::features::tensors::Tensor;
use generation::{
    manifest, open,
    rows::{self, Numbers},
    store::Store,
};
use index::{
    hnsw::{HnswConfig, Metric},
    shard::{Options, Query, Rows, RowsView, Shard},
};

use crate::{
    K,
    asked::{Wanted, of_shard},
    floor::Floor,
    site::{Site, text},
};

/// The shards of a site, opened here.
pub(crate) struct Shards(Vec<Shard<Mapped>>);

struct Mapped(rows::Rows);

impl Rows for Mapped {
    fn view(&self) -> RowsView<'_> {
        let (ids, dim) = (self.0.ids(), self.0.dim());
        match self.0.numbers() {
            Numbers::F32(vectors) => RowsView::new(ids, vectors, dim),
            Numbers::F16(vectors) => RowsView::halves(ids, vectors, dim),
        }
    }
}

/// A search of every shard: interests, and what each shard leaves out.
pub(crate) struct Search<'a> {
    interests: &'a [f32],
    exclude: Vec<Vec<u64>>,
}

impl Shards {
    /// Opens the shards as item towers do.
    pub(crate) async fn open(site: &Site) -> anyhow::Result<Self> {
        let store = Store::open(&text(&site.store))?;
        let generation = open::open(&store, &site.generation).await?;
        let manifest = &generation.manifest;
        let engine = &manifest.engine;
        let options = Options {
            hnsw: HnswConfig {
                metric: match manifest.metric {
                    manifest::Metric::Dot => Metric::Dot,
                    manifest::Metric::Cosine => Metric::Cosine,
                },
                connectivity: engine.connectivity,
                expansion_add: engine.expansion_add,
                expansion_search: engine.expansion_search,
                ..HnswConfig::default()
            },
            delta: manifest.updates_from,
            ..Options::default()
        };
        let shard = |entry: &manifest::ShardEntry| {
            let rows = rows::Rows::map(&generation.file(&entry.rows)?)?;
            let graph = generation.file(&entry.graph)?;
            let items = generation.file(&entry.items_file)?;
            let cells = entry.cells.as_deref();
            let cells = cells.map(|name| generation.file(name)).transpose()?;
            anyhow::Ok(Shard::open(Mapped(rows), graph, items, cells, &options)?)
        };
        Ok(Self(
            manifest
                .shards
                .iter()
                .map(shard)
                .collect::<Result<_, _>>()?,
        ))
    }

    /// Makes ready what each user's recall asks.
    pub(crate) fn searches<'a>(&self, wanted: &'a [Wanted]) -> Vec<Search<'a>> {
        let shards = self.0.len() as u32;
        let search = |wanted: &'a Wanted| Search {
            interests: &wanted.interests,
            exclude: (0..shards)
                .map(|shard| of_shard(&wanted.seen, shard, shards))
                .collect(),
        };
        wanted.iter().map(search).collect()
    }

    /// CPU seconds of `calls` searches of all shards, in turn.
    pub(crate) fn search(&self, searches: &[Search<'_>], calls: usize) -> anyhow::Result<f64> {
        let before = thread_cpu()?;
        for search in searches.iter().cycle().take(calls) {
            for (shard, exclude) in self.0.iter().zip(&search.exclude) {
                let found = shard.search(&Query {
                    exclude,
                    ..Query::new(search.interests, K)
                })?;
                anyhow::ensure!(!found.hits.is_empty(), "nothing was found");
            }
        }
        Ok(thread_cpu()? - before)
    }
}

/// CPU seconds of `calls` runs of the model, in turn.
pub(crate) fn run(model: &mut Floor, users: &[Vec<Tensor>], calls: usize) -> anyhow::Result<f64> {
    let before = thread_cpu()?;
    let mut users = users.iter().cycle().take(calls);
    users.try_for_each(|tensors| model.run(tensors))?;
    Ok(thread_cpu()? - before)
}

/// CPU seconds of this thread so far, to the nanosecond.
fn thread_cpu() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split_whitespace().next().unwrap_or_default();
    Ok(nanos.parse::<u64>()? as f64 / 1e9)
}
