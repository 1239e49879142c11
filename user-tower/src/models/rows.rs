//! The item rows of a generation, for models that take a history's items as vectors.

use encoder::gather::ItemVectors;
use generation::{
    manifest::ShardEntry,
    open::Generation,
    partition,
    rows::{self, Rows},
};

use crate::error::Error;

/// Every shard's rows, mapped from files whose bytes were hashed.
pub(crate) struct ItemRows {
    /// By the shard's number.
    shards: Vec<Rows>,
    dim: usize,
}

impl ItemRows {
    /// Maps the rows of all shards of `generation`.
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
            dim: manifest.dim,
        })
    }
}

impl ItemVectors for ItemRows {
    fn dim(&self) -> usize {
        self.dim
    }

    fn vector(&self, item: u64) -> Option<&[f32]> {
        let shard = partition::shard_of(item, self.shards.len() as u32);
        let rows = &self.shards[shard as usize];
        let row = rows.ids().binary_search(&item).ok()?;
        Some(rows.row(row))
    }
}
