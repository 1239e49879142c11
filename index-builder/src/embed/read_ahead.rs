//! Reads a part of the catalog on a thread of its own, a few chunks ahead of who embeds it.

use std::{mem, sync::Arc};

use indicatif::ProgressBar;
use tokio::{
    sync::mpsc,
    task::{self, JoinHandle},
};

use crate::{
    embed::{AHEAD, keep::Batch},
    error::Error,
    items::{Counts, Entry, Items},
    kept::Vectors,
};

/// A part that is being read.
pub(super) struct ReadAhead {
    /// Chunks of items to embed, in the order of the catalog.
    pub(super) chunks: mpsc::Receiver<Vec<Entry>>,
    /// Ends after the last chunk, or when nobody takes chunks any more.
    pub(super) done: JoinHandle<Result<Read, Error>>,
}

/// What was read.
#[derive(Default)]
pub(super) struct Read {
    /// Items to embed.
    pub(super) asked: u64,
    /// Items that did not change; their vectors need not be made.
    pub(super) kept: u64,
    /// Those of them that the artifact does not know.
    pub(super) unknown: u64,
    /// What the rows were.
    pub(super) counts: Counts,
}

/// What the thread works with.
struct Reader {
    items: Items,
    before: Option<Arc<Vectors>>,
    chunk: usize,
    bar: ProgressBar,
    to_embed: mpsc::Sender<Vec<Entry>>,
    to_keep: mpsc::Sender<Batch>,
}

impl ReadAhead {
    /// Begins to read, in chunks of `chunk` items. Items whose vector is among those from `before` go to `to_keep` with it.
    pub(super) fn begin(
        items: Items,
        before: Option<Arc<Vectors>>,
        chunk: usize,
        bar: ProgressBar,
        to_keep: mpsc::Sender<Batch>,
    ) -> Self {
        let (to_embed, chunks) = mpsc::channel(AHEAD);
        let reader = Reader {
            items,
            before,
            chunk,
            bar,
            to_embed,
            to_keep,
        };
        Self {
            chunks,
            done: task::spawn_blocking(move || reader.read()),
        }
    }
}

impl Reader {
    /// Stops where nobody takes what was read: that others failed is told elsewhere.
    fn read(mut self) -> Result<Read, Error> {
        let mut read = Read::default();
        let (mut chunk, mut kept) = (Vec::new(), Batch::default());
        while let Some(entry) = self.items.next()? {
            let before = self.before.as_ref();
            if let Some(vector) = before.and_then(|before| before.of(&entry.item)) {
                // Of an item and the one whose place it takes, one is indexed.
                let counts = !self.items.is_replaced(&entry);
                read.kept += u64::from(counts);
                read.unknown += u64::from(counts && !self.items.knows(&entry.item));
                kept.push(entry, &vector);
                if kept.entries.len() == self.chunk && !self.keep(mem::take(&mut kept)) {
                    return Ok(read);
                }
                continue;
            }
            read.asked += 1;
            chunk.push(entry);
            if chunk.len() == self.chunk && !self.embed(mem::take(&mut chunk)) {
                return Ok(read);
            }
        }
        if (kept.entries.is_empty() || self.keep(kept)) && !chunk.is_empty() {
            self.embed(chunk);
        }
        read.counts = self.items.counts();
        Ok(read)
    }

    fn keep(&self, kept: Batch) -> bool {
        self.bar.set_length(self.items.estimate());
        self.to_keep.blocking_send(kept).is_ok()
    }

    fn embed(&self, chunk: Vec<Entry>) -> bool {
        self.bar.set_length(self.items.estimate());
        self.to_embed.blocking_send(chunk).is_ok()
    }
}
