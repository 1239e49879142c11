//! Reads the catalog on a thread of its own, a few chunks ahead of who embeds it.

use std::{mem, path::PathBuf, sync::Arc};

use encoder::{artifact::Artifact, features::CatalogItem};
use tokio::{
    sync::mpsc,
    task::{self, JoinHandle},
};

use crate::{
    catalog::{Catalog, Counts},
    config::Config,
    error::Error,
    kept::Kept,
};

/// A catalog that is being read.
pub(crate) struct ReadAhead {
    /// Chunks of items to embed, in the order of the catalog.
    pub(crate) chunks: mpsc::Receiver<Vec<CatalogItem>>,
    /// Ends after the last chunk, or when nobody takes chunks any more.
    pub(crate) done: JoinHandle<Result<Read, Error>>,
}

/// What was read.
#[derive(Default)]
pub(crate) struct Read {
    /// Items to embed.
    pub(crate) items: u64,
    /// Items that need not be embedded: they did not change.
    pub(crate) kept: Vec<CatalogItem>,
    /// `[kept, dim]`.
    pub(crate) kept_vectors: Vec<f32>,
    /// Items that are nowhere: the artifact does not know them, nor any of their features if that would do.
    pub(crate) left_out: u64,
    /// What the lines were.
    pub(crate) counts: Counts,
}

/// What the thread works with.
struct Reader {
    catalog: Catalog,
    path: PathBuf,
    artifact: Arc<Artifact>,
    kept: Option<Arc<Kept>>,
    chunk: usize,
    unknown_items: bool,
    bad_lines: f64,
    sender: mpsc::Sender<Vec<CatalogItem>>,
}

impl ReadAhead {
    /// Begins to read, at most `ahead` chunks more than are taken.
    ///
    /// # Errors
    /// [`Error::Read`] if the catalog cannot be opened.
    pub(crate) fn begin(
        config: &Config,
        artifact: Arc<Artifact>,
        kept: Option<Arc<Kept>>,
        ahead: usize,
    ) -> Result<Self, Error> {
        let (sender, chunks) = mpsc::channel(ahead);
        let reader = Reader {
            catalog: Catalog::open(&config.catalog)?,
            path: config.catalog.clone(),
            artifact,
            kept,
            chunk: config.embed.chunk,
            unknown_items: config.embed.unknown_items,
            bad_lines: config.catalog_checks.bad_lines,
            sender,
        };
        Ok(Self {
            chunks,
            done: task::spawn_blocking(move || reader.read()),
        })
    }
}

impl Reader {
    fn read(mut self) -> Result<Read, Error> {
        let mut read = Read::default();
        let mut chunk = Vec::with_capacity(self.chunk);
        while let Some(item) = self.catalog.next()? {
            if !self.takes(&item) {
                read.left_out += 1;
                continue;
            }
            if let Some(vector) = self.kept.as_ref().and_then(|kept| kept.vector(&item)) {
                read.kept_vectors.extend(vector);
                read.kept.push(item);
                continue;
            }
            read.items += 1;
            chunk.push(item);
            if chunk.len() == self.chunk
                && self.sender.blocking_send(mem::take(&mut chunk)).is_err()
            {
                break;
            }
        }
        if !chunk.is_empty() {
            // Nobody takes it if the embedding failed, which is told elsewhere.
            let _ = self.sender.blocking_send(chunk);
        }
        read.counts = self.catalog.counts();
        read.counts.check(&self.path, self.bad_lines)?;
        Ok(read)
    }

    /// Whether the item can be embedded: all unknown items that nothing is told of would get one and the same vector.
    fn takes(&self, item: &CatalogItem) -> bool {
        self.artifact.knows_item(item.id)
            || (self.unknown_items && self.artifact.reads_any(&item.features))
    }
}
