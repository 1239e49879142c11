//! Spools items with their vectors on a thread of its own.

use encoder::features::CatalogItem;
use indicatif::ProgressBar;
use tokio::{
    sync::mpsc,
    task::{self, JoinHandle},
};

use crate::{
    embed::AHEAD,
    error::Error,
    items::Entry,
    spool::{Record, Spools},
};

/// Items with their vectors.
#[derive(Default)]
pub(super) struct Batch {
    /// The items.
    pub(super) entries: Vec<Entry>,
    /// `[entries, dim]`; nothing where vectors are ready.
    pub(super) vectors: Vec<f32>,
}

impl Batch {
    /// Adds an item.
    pub(super) fn push(&mut self, entry: Entry, vector: &[f32]) {
        self.entries.push(entry);
        self.vectors.extend(vector);
    }
}

/// Begins to spool what is sent, vectors of length `dim`; the thread ends when nobody can send any more.
pub(super) fn begin(
    mut spools: Spools,
    dim: usize,
    bar: ProgressBar,
) -> (mpsc::Sender<Batch>, JoinHandle<Result<u64, Error>>) {
    let (sender, mut batches) = mpsc::channel::<Batch>(AHEAD);
    let keep = move || {
        let mut kept = 0;
        while let Some(batch) = batches.blocking_recv() {
            let rows = batch.vectors.chunks_exact(dim);
            for (entry, vector) in batch.entries.iter().zip(rows) {
                push(&mut spools, entry, vector)?;
            }
            kept += batch.entries.len() as u64;
            bar.inc(batch.entries.len() as u64);
        }
        spools.finish()?;
        Ok(kept)
    };
    (sender, task::spawn_blocking(keep))
}

/// Spools an item as the shard will store it.
///
/// # Errors
/// [`Error::Json`] or [`Error::Write`] if it cannot be written.
pub(super) fn push(spools: &mut Spools, entry: &Entry, vector: &[f32]) -> Result<(), Error> {
    let item: &CatalogItem = &entry.item;
    let json = serde_json::to_vec(item).map_err(|source| Error::Json {
        id: item.id,
        source,
    })?;
    let record = Record {
        id: item.id,
        row: entry.row,
        popularity: item.popularity,
        vector: &[],
        item: &json,
    };
    spools.push(&record, vector)
}
