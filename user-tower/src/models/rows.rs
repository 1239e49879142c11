//! The item rows of a generation and what changed since, for models that take a history's items as vectors.

use std::{
    borrow::Cow,
    sync::{Arc, PoisonError, RwLock},
};

use encoder::gather::ItemVectors;
use generation::{
    manifest::ShardEntry,
    open::Generation,
    partition,
    rows::{self, Rows},
    store::Store,
};

use crate::{
    error::Error,
    models::fresh::{self, Fresh},
};

/// Every shard's rows, mapped from files whose bytes were hashed, and the items that changed since.
pub(crate) struct ItemRows {
    /// By the shard's number.
    shards: Vec<Rows>,
    space: String,
    dim: usize,
    /// Replaced whole, so that who reads sees one moment.
    fresh: RwLock<Arc<Fresh>>,
}

/// The vectors of all items as of one delta.
pub(crate) struct View<'a> {
    rows: &'a ItemRows,
    fresh: Arc<Fresh>,
}

impl ItemRows {
    /// Maps the rows of all shards of `generation`, before any change since.
    ///
    /// Reads and hashes every byte of them, so it blocks for long: call it off the async executor.
    ///
    /// # Errors
    /// If a file is not what the manifest says.
    pub(crate) fn open(generation: &Generation) -> Result<Self, Error> {
        let manifest = &generation.manifest;
        let map = |entry: &ShardEntry| {
            let rows = rows::Rows::map(&generation.file(&entry.rows)?)?;
            if (rows.len() as u64, rows.dim()) != (entry.items, manifest.dim) {
                return Err(Error::Rows {
                    generation: manifest.id.clone(),
                    shard: entry.shard,
                    found: (rows.len() as u64, rows.dim()),
                    expected: (entry.items, manifest.dim),
                });
            }
            Ok(rows)
        };
        Ok(Self {
            shards: manifest.shards.iter().map(map).collect::<Result<_, _>>()?,
            space: manifest.space.clone(),
            dim: manifest.dim,
            fresh: RwLock::new(Arc::new(Fresh::after(manifest.updates_from))),
        })
    }

    /// The vectors as of now; a batch goes by one view.
    pub(crate) fn view(&self) -> View<'_> {
        View {
            rows: self,
            fresh: self.fresh(),
        }
    }

    /// The last delta that a view of now holds.
    pub(crate) fn delta(&self) -> u64 {
        self.fresh().delta()
    }

    /// Takes in what the catalog's log has further; one caller at a time.
    ///
    /// # Errors
    /// If a delta cannot be read; those before it are taken in.
    pub(crate) async fn catch_up(&self, store: &Store) -> Result<(), Error> {
        let mut fresh = self.fresh();
        let before = fresh.delta();
        let ended = loop {
            match fresh::read(store, fresh.delta() + 1, &self.space, self.dim).await {
                Ok(Some(delta)) => Arc::make_mut(&mut fresh).apply(delta),
                Ok(None) => break Ok(()),
                Err(cause) => break Err(cause),
            }
        };
        if fresh.delta() > before {
            *self.fresh.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        ended
    }

    fn fresh(&self) -> Arc<Fresh> {
        Arc::clone(&self.fresh.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn row(&self, item: u64) -> Option<Cow<'_, [f32]>> {
        let shard = partition::shard_of(item, self.shards.len() as u32);
        let rows = &self.shards[shard as usize];
        let row = rows.ids().binary_search(&item).ok()?;
        Some(rows.row(row))
    }
}

impl ItemVectors for View<'_> {
    fn dim(&self) -> usize {
        self.rows.dim
    }

    fn vector(&self, item: u64) -> Option<Cow<'_, [f32]>> {
        match self.fresh.changed(item) {
            Some(changed) => changed.map(Cow::Borrowed),
            None => self.rows.row(item),
        }
    }
}
