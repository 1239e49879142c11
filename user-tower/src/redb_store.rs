//! Keeps histories in one redb file, with a commit for everything that waits.
//!
//! Durability class: an acknowledged write was fsynced, so it survives kill -9 and the loss of the
//! page cache.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use moka::sync::Cache;
use redb::Database;
use service::blocking::Blocking;
use tokio::sync::watch;

use crate::{
    config::HistoryConfig,
    error::Error,
    history::{History, HistoryStore, Tally, Write},
    redb_store::{open::Opener, reads::Reads, writer::Writer},
};

mod apply;
mod load;
mod open;
mod reads;
mod schema;
mod writer;

#[cfg(test)]
mod tests;

/// Histories in one redb file.
pub(crate) struct RedbStore {
    shared: Arc<Shared>,
    keep: usize,
    reads: Blocking,
    writer: Writer,
}

/// What readers and the writer share.
struct Shared {
    /// None while the writer reopens the file after a failure.
    database: RwLock<Option<Arc<Database>>>,
    cache: Cache<String, Arc<History>>,
    reads: Reads,
    /// Whether writes are acknowledged.
    writable: watch::Sender<bool>,
}

impl RedbStore {
    /// Opens the file, creating it if it is absent.
    ///
    /// # Errors
    /// If another process has it open, or it is of another schema, or cannot be read.
    pub(crate) fn open(config: &HistoryConfig) -> Result<Self, OpenError> {
        let (path, cache) = (config.path.clone(), config.page_cache_bytes);
        Self::with(config, Box::new(move || open::file(&path, cache)))
    }

    /// Opens what `opener` opens, now and after each failure.
    fn with(config: &HistoryConfig, opener: Opener) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared {
            database: RwLock::new(Some(Arc::new(opener()?))),
            cache: Cache::builder()
                .max_capacity(config.cache_bytes)
                .weigher(|user: &String, history: &Arc<History>| {
                    u32::try_from(user.len() + history.bytes()).unwrap_or(u32::MAX)
                })
                .build(),
            reads: Reads::default(),
            writable: watch::Sender::new(true),
        });
        Ok(Self {
            writer: Writer::start(Arc::clone(&shared), opener, config.keep, config.queue),
            shared,
            keep: config.keep,
            reads: Blocking::new(0),
        })
    }

    /// Tells `writable` now, and at each change, whether writes are acknowledged.
    pub(crate) async fn follow(&self, writable: impl Fn(bool)) -> std::convert::Infallible {
        let mut changes = self.shared.writable.subscribe();
        loop {
            writable(*changes.borrow_and_update());
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[tonic::async_trait]
impl HistoryStore for RedbStore {
    async fn write(&self, write: Write) -> Result<Tally, Error> {
        self.writer.write(write).await
    }

    async fn read(&self, user: &str) -> Result<Arc<History>, Error> {
        if let Some(history) = self.shared.cache.get(user) {
            return Ok(history);
        }
        let (shared, user, keep) = (Arc::clone(&self.shared), user.to_owned(), self.keep);
        self.reads.run(move || shared.load(&user, keep)).await?
    }
}

impl Shared {
    /// Reads a user from the file into the cache.
    fn load(&self, user: &str, keep: usize) -> Result<Arc<History>, Error> {
        let read = self.reads.begin(user);
        let database = self.database();
        let database = database.ok_or_else(|| Error::History("it is being reopened".to_owned()))?;
        let history = load::history(&database, user, keep);
        let history = Arc::new(history.map_err(|cause| Error::History(cause.to_string()))?);
        read.unless_overtaken(|| self.cache.insert(user.to_owned(), Arc::clone(&history)));
        Ok(history)
    }

    /// Makes a commit visible to readers; called before it is acknowledged.
    fn publish<'a>(&self, users: impl Iterator<Item = &'a str>) {
        for user in users {
            self.reads.committed(user);
            self.cache.invalidate(user);
        }
    }

    fn database(&self) -> Option<Arc<Database>> {
        let database = self.database.read();
        database.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_database(&self, database: Option<Arc<Database>>) {
        *self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner) = database;
    }
}

/// Why a history file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Its directory cannot be made.
    #[error("{}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Another process, or another store of this one, has it open.
    #[error("{} is open in another process; one user tower a file", .0.display())]
    InUse(PathBuf),
    /// It is of another schema.
    #[error("the history has schema version {found}, this program knows {expected}")]
    Schema {
        /// The version found.
        found: u64,
        /// The version that this program reads and writes.
        expected: u64,
    },
    /// The file cannot be read, or is no redb file.
    #[error("{}: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: redb::Error,
    },
}
