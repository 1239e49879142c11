//! One generation's shards, opened and proven before anybody searches them.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use encoder::features::{CatalogItem, Value};
use generation::{
    deltas::{Changes, Vectors},
    manifest::{self, Manifest, ShardEntry},
    open::Generation,
    partition,
    rows::{self, Numbers},
};
use index::{
    filter::Described,
    hnsw::{HnswConfig, Metric},
    plan::Strategy,
    shard::{Options, Query, Rows, RowsView, Shard},
    tail::Upsert,
};
use tokio::sync::watch;

use crate::{config::ShardsConfig, error::Error, meter::Meter};

/// The name of the popularity list in every generation.
const POPULARITY: &str = "popularity.json";
/// How many rows of a shard must find themselves before it is served.
const GOLDEN_ROWS: usize = 4;

/// The part of a generation that this member holds.
pub(crate) struct Held {
    /// The generation's manifest.
    pub(crate) manifest: Manifest,
    /// The shards held, by number.
    pub(crate) shards: BTreeMap<u32, Shard<Mapped>>,
    /// How popular the item of each row of each shard is.
    pub(crate) counts: BTreeMap<u32, Vec<u64>>,
    /// How much live searches find.
    pub(crate) meter: Meter,
    /// Items and counts, most popular first, as many as the generation lists.
    pub(crate) popular: Vec<(u64, u64)>,
    /// Items of all shards that deltas took out, or put in without a vector.
    deleted: RwLock<HashSet<u64>>,
    /// Items of all shards that deltas named.
    changed: AtomicUsize,
    /// The last delta that all shards have taken up.
    delta: watch::Sender<u64>,
}

/// A shard's rows, mapped from a file whose bytes were hashed.
pub(crate) struct Mapped(rows::Rows);

impl Rows for Mapped {
    fn view(&self) -> RowsView<'_> {
        let (ids, dim) = (self.0.ids(), self.0.dim());
        match self.0.numbers() {
            Numbers::F32(vectors) => RowsView::new(ids, vectors, dim),
            Numbers::F16(vectors) => RowsView::halves(ids, vectors, dim),
        }
    }
}

impl Held {
    /// Opens the `wanted` shards of `generation`, and its popularity list.
    ///
    /// Reads and hashes every byte, so it blocks for long: call it off the async executor.
    ///
    /// # Errors
    /// If a file is not what the manifest says, or a shard does not find its own rows.
    pub(crate) fn open(
        generation: &Generation,
        wanted: impl Fn(u32) -> bool,
        config: &ShardsConfig,
    ) -> Result<Self, Error> {
        let manifest = generation.manifest.clone();
        let options = options(&manifest, config.search.into());
        let (mut shards, mut counts) = (BTreeMap::new(), BTreeMap::new());
        for entry in manifest.shards.iter().filter(|entry| wanted(entry.shard)) {
            let (shard, count) = open_shard(generation, entry, &options)?;
            shards.insert(entry.shard, shard);
            counts.insert(entry.shard, count);
        }
        Ok(Self {
            meter: Meter::new(
                config.measure_every,
                config.recall_target,
                shards.keys().copied(),
            ),
            counts,
            popular: read_popular(generation)?,
            deleted: RwLock::default(),
            changed: AtomicUsize::new(0),
            delta: watch::Sender::new(manifest.updates_from),
            manifest,
            shards,
        })
    }

    /// The last delta that all shards have taken up.
    pub(crate) fn delta(&self) -> u64 {
        *self.delta.borrow()
    }

    /// Waits until the shards have taken up the delta.
    pub(crate) async fn reaches(&self, delta: u64) {
        let mut reached = self.delta.subscribe();
        // Fails never while this is held.
        let _ = reached.wait_for(|reached| *reached >= delta).await;
    }

    /// Takes up a delta: what it changes in the shards held, with the vectors of the generation's space.
    ///
    /// # Errors
    /// If a vector or an item cannot be taken up; the delta can then be applied again.
    pub(crate) fn apply(
        &self,
        number: u64,
        changes: &Changes,
        vectors: &Vectors,
    ) -> Result<(), Error> {
        let shards = self.manifest.partitioner.shards;
        for (shard, opened) in &self.shards {
            if opened.delta() >= number {
                continue;
            }
            let mine = changes.items.iter();
            let mine = mine.filter(|(id, _)| partition::shard_of(**id, shards) == *shard);
            let (mut upserts, mut deletes) = (Vec::new(), Vec::new());
            for (id, item) in mine {
                match item {
                    Some(bytes) => upserts.push(Upsert {
                        id: *id,
                        bytes,
                        vector: vectors.rows.get(id).map(Vec::as_slice),
                    }),
                    None => deletes.push(*id),
                }
            }
            opened.apply(number, &upserts, &deletes, |bytes, item| {
                describe(bytes, item, &self.manifest.id).map(drop)
            })?;
        }
        let mut deleted = self.deleted.write().unwrap_or_else(PoisonError::into_inner);
        for (id, item) in &changes.items {
            match item.is_some() && vectors.rows.contains_key(id) {
                true => deleted.remove(id),
                false => deleted.insert(*id),
            };
        }
        self.changed.fetch_add(changes.items.len(), Relaxed);
        self.delta.send_replace(number);
        Ok(())
    }

    /// The items that can still be found.
    pub(crate) fn standing(&self, items: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
        let deleted = self.deleted.read().unwrap_or_else(PoisonError::into_inner);
        items.filter(|(id, _)| !deleted.contains(id)).collect()
    }

    /// How many items deltas have named, those of shards that others hold among them.
    pub(crate) fn changed(&self) -> usize {
        self.changed.load(Relaxed)
    }

    /// Returns the shard, or says which are held.
    ///
    /// # Errors
    /// [`Error::ShardNotHeld`].
    pub(crate) fn shard(&self, shard: u32) -> Result<&Shard<Mapped>, Error> {
        self.shards.get(&shard).ok_or_else(|| Error::ShardNotHeld {
            generation: self.manifest.id.clone(),
            shard,
            held: self.shards.keys().copied().collect(),
        })
    }
}

/// How the generation's graphs are walked.
fn options(manifest: &Manifest, strategy: Strategy) -> Options {
    Options {
        strategy,
        delta: manifest.updates_from,
        hnsw: HnswConfig {
            metric: match manifest.metric {
                manifest::Metric::Dot => Metric::Dot,
                manifest::Metric::Cosine => Metric::Cosine,
            },
            connectivity: manifest.engine.connectivity,
            expansion_add: manifest.engine.expansion_add,
            expansion_search: manifest.engine.expansion_search,
            ..HnswConfig::default()
        },
    }
}

fn open_shard(
    generation: &Generation,
    entry: &ShardEntry,
    options: &Options,
) -> Result<(Shard<Mapped>, Vec<u64>), Error> {
    let manifest = &generation.manifest;
    let rows = rows::Rows::map(&generation.file(&entry.rows)?)?;
    if (rows.len() as u64, rows.dim()) != (entry.items, manifest.dim) {
        return Err(Error::Shape {
            generation: manifest.id.clone(),
            shard: entry.shard,
            found: format!("{} rows of dimension {}", rows.len(), rows.dim()),
            expected: format!("{} rows of dimension {}", entry.items, manifest.dim),
        });
    }
    let graph = generation.file(&entry.graph)?;
    let items = generation.file(&entry.items_file)?;
    let cells = entry.cells.as_deref();
    let cells = cells.map(|name| generation.file(name)).transpose()?;
    let mut shard = Shard::open(Mapped(rows), graph, items, cells, options)?;
    let mut counts = Vec::with_capacity(shard.len());
    shard.describe(|bytes, item| {
        counts.push(describe(bytes, item, &manifest.id)?);
        Ok::<_, Error>(())
    })?;
    prove(&shard, entry.shard, &manifest.id)?;
    Ok((shard, counts))
}

/// Tells the attributes of a stored item, which are its features, and returns how popular it is.
fn describe(bytes: &[u8], item: &mut Described<'_>, generation: &str) -> Result<u64, Error> {
    let stored: CatalogItem = serde_json::from_slice(bytes).map_err(|source| Error::File {
        generation: generation.to_owned(),
        file: "items".to_owned(),
        source,
    })?;
    for (attribute, value) in &stored.features {
        match value {
            Value::Number(number) => item.number(attribute, *number),
            Value::Text(text) => item.text(attribute, text),
            Value::List(texts) => texts.iter().for_each(|text| item.text(attribute, text)),
        }
    }
    Ok(stored.popularity)
}

/// Searches a shard with some of its own rows: nothing may score less than the row itself.
fn prove(shard: &Shard<Mapped>, number: u32, generation: &str) -> Result<(), Error> {
    let view = shard.rows();
    let step = view.len().div_ceil(GOLDEN_ROWS).max(1);
    for row in (0..view.len()).step_by(step) {
        let query = view.row(row);
        let expected: f32 = query.iter().map(|value| value * value).sum();
        let found = shard.search(&Query {
            exact: true,
            ..Query::new(&query, 1)
        })?;
        let best = found
            .hits
            .first()
            .map_or(f32::NEG_INFINITY, |hit| hit.score);
        if best.is_nan() || best < expected - 1e-4 * expected.max(1.0) {
            return Err(Error::Golden {
                generation: generation.to_owned(),
                shard: number,
                row,
                found: best,
                expected,
            });
        }
    }
    Ok(())
}

/// Reads the popularity list.
fn read_popular(generation: &Generation) -> Result<Vec<(u64, u64)>, Error> {
    let file = generation.file(POPULARITY)?;
    serde_json::from_reader(std::io::BufReader::new(file)).map_err(|source| Error::File {
        generation: generation.manifest.id.clone(),
        file: POPULARITY.to_owned(),
        source,
    })
}
