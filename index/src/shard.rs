//! One shard, opened from its files, and what changed in it since.

mod found;
mod query;
mod search;

use std::{
    borrow::Cow,
    fs::File,
    sync::{
        PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

pub use crate::rows::RowsView;
use crate::{
    cells::Cells,
    eligible,
    error::Error,
    filter::{Attributes, Described, Filter},
    hnsw::{Hnsw, HnswConfig},
    items::Items,
    plan::Strategy,
    quantized::Quantized,
    tail::{Tail, Upsert},
};
pub use found::{Found, Passing, StoredItem};
pub use query::Query;

/// Rows that a shard owns, wherever they are.
pub trait Rows: Send + Sync {
    /// Borrows the rows; every call returns the same.
    fn view(&self) -> RowsView<'_>;
}

/// How a shard is searched.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which way it is searched.
    pub strategy: Strategy,
    /// How the graph is walked; what it was built with does not matter here.
    pub hnsw: HnswConfig,
    /// The number of the last delta that the shard was built with.
    pub delta: u64,
}

/// A shard.
#[derive(Debug)]
pub struct Shard<R: Rows> {
    rows: R,
    quantized: Option<Quantized>,
    graph: Hnsw,
    items: Items,
    attributes: Attributes,
    strategy: Strategy,
    connectivity: usize,
    effort: usize,
    tier: AtomicUsize,
    tail: RwLock<Tail>,
}

/// The highest tier of effort.
pub const TIERS: usize = 3;

impl<R: Rows> Shard<R> {
    /// Opens a shard from rows, graph, items and cells whose bytes were hashed; where it has no file of cells, the rows are divided
    /// now. Nothing is known of its items' attributes.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if they do not belong together, [`Error::Order`] if ids do not ascend,
    /// [`Error::Vector`] if a vector is zero or not finite.
    pub fn open(
        rows: R,
        graph: File,
        items: File,
        cells: Option<File>,
        options: &Options,
    ) -> Result<Self, Error> {
        let view = rows.view();
        view.check_ids()?;
        view.check_vectors()?;
        let items = Items::map(&items)?;
        if items.len() != view.len() {
            return Err(Error::mismatch(
                "items",
                "number of items",
                items.len(),
                view.len(),
            ));
        }
        let graph = Hnsw::view(&graph, view.len(), view.dim(), &options.hnsw)?;
        let cells = cells.map(|file| Cells::read(&file, view)).transpose()?;
        Ok(Self {
            quantized: Quantized::new(view, cells, options.hnsw.threads),
            tail: RwLock::new(Tail::new(view.dim(), options.delta)),
            rows,
            graph,
            items,
            attributes: Attributes::default(),
            strategy: options.strategy,
            connectivity: options.hnsw.connectivity,
            effort: options.hnsw.expansion_search,
            tier: AtomicUsize::new(0),
        })
    }

    /// Learns the attributes that filters ask for: `describe` reads an item's bytes and tells what they say.
    ///
    /// # Errors
    /// The first that `describe` returns; then nothing is learnt.
    pub fn describe<E>(
        &mut self,
        mut describe: impl FnMut(&[u8], &mut Described<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut attributes = Attributes::default();
        for row in 0..self.items.len() {
            describe(self.items.get(row), &mut attributes.of(row as u32))?;
        }
        attributes.settle();
        self.attributes = attributes;
        Ok(())
    }

    /// Sets which way is searched.
    pub fn set_strategy(&mut self, strategy: Strategy) {
        self.strategy = strategy;
    }

    /// Sets how many candidates a walk of the graph looks at.
    pub fn set_effort(&mut self, expansion_search: usize) {
        self.graph.set_effort(expansion_search);
        self.effort = expansion_search;
    }

    /// Takes up delta `number`: puts items in, in place of what there is of their ids, and takes the ids `deletes` out, of
    /// which none is put in. `describe` is as for [`Shard::describe`].
    ///
    /// Searches that run meanwhile see all of it or nothing.
    ///
    /// # Errors
    /// [`Error::Delta`] if the number is not greater than the last, [`Error::Upsert`] or [`Error::UpsertLength`] for a
    /// vector that cannot be compared, or what `describe` returns; then nothing is taken up.
    pub fn apply<E: From<Error>>(
        &self,
        number: u64,
        upserts: &[Upsert<'_>],
        deletes: &[u64],
        mut describe: impl FnMut(&[u8], &mut Described<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        // All that takes long comes before searches have to wait.
        let mut attributes = Attributes::default();
        let found = upserts.iter().filter(|upsert| upsert.vector.is_some());
        for (upsert, row) in found.zip(0..) {
            describe(upsert.bytes, &mut attributes.of(row))?;
        }
        attributes.settle();
        let ids = self.rows.view().ids();
        let mut tail = self.tail.write().unwrap_or_else(PoisonError::into_inner);
        tail.check(number, upserts)?;
        tail.apply(number, upserts, deletes, ids, attributes);
        Ok(())
    }

    /// The number of the last delta taken up.
    pub fn delta(&self) -> u64 {
        self.tail().number()
    }

    /// How many rows deltas have made and ended since the shard was built.
    pub fn changed(&self) -> usize {
        self.tail().len()
    }

    /// How hard searches that do not compare every row look, from 0 to [`TIERS`].
    pub fn tier(&self) -> usize {
        self.tier.load(Relaxed)
    }

    /// Lets searches look harder: each tier walks to twice as many nodes of a graph as the one before, and looks further for
    /// cells. Searches under way go on as they began.
    pub fn set_tier(&self, tier: usize) {
        self.tier.store(tier.min(TIERS), Relaxed);
    }

    /// Returns what the filter lets pass now.
    pub fn passing(&self, filter: &Filter) -> Passing {
        let rows = self.rows.view();
        let passing = filter.rows(&self.attributes, rows.len(), |id| eligible::row(rows, id));
        let tail = self.tail();
        let rows = passing.into_iter().filter(|row| !tail.is_gone(*row));
        Passing {
            rows: rows.map(|row| row as usize).collect(),
            fresh: tail.ids_passing(filter),
        }
    }

    /// Reads an item as it is now; `None` if the shard has none of that id.
    ///
    /// # Errors
    /// Never while items are mapped; callers are ready for shards that fetch them.
    pub fn item(&self, id: u64) -> Result<Option<StoredItem<'_>>, Error> {
        let stored = |bytes| StoredItem { id, bytes };
        let tail = self.tail();
        if let Some(fresh) = tail.item(id) {
            return Ok(fresh.map(|bytes| stored(Cow::Owned(bytes.to_vec()))));
        }
        let row = eligible::row(self.rows.view(), id).filter(|row| !tail.is_gone(*row));
        Ok(row.map(|row| stored(Cow::Borrowed(self.items.get(row as usize)))))
    }

    /// Appends the vector of an item to `vectors`, as of a delta or as it is now; returns whether there is one.
    ///
    /// # Errors
    /// [`Error::AsOf`] if the shard cannot be seen as of that delta.
    pub fn vector(
        &self,
        id: u64,
        as_of: Option<u64>,
        vectors: &mut Vec<f32>,
    ) -> Result<bool, Error> {
        let (rows, tail) = (self.rows.view(), self.tail());
        let as_of = tail.as_of(as_of)?;
        if let Some(vector) = tail.vector(id, as_of) {
            vectors.extend_from_slice(vector);
            return Ok(true);
        }
        let row = eligible::row(rows, id).filter(|row| !tail.is_gone_at(*row, as_of));
        if let Some(row) = row {
            rows.append(row as usize, vectors);
        }
        Ok(row.is_some())
    }

    /// The rows that it was built with.
    pub fn rows(&self) -> RowsView<'_> {
        self.rows.view()
    }

    /// How many items it was built with.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it was built with none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn tail(&self) -> RwLockReadGuard<'_, Tail> {
        self.tail.read().unwrap_or_else(PoisonError::into_inner)
    }
}
