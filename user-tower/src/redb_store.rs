//! Keeps histories in one redb file, with a commit for everything that waits.
//!
//! Durability class: an acknowledged write was fsynced, so it survives kill -9 and the loss of the
//! page cache.

use std::{
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use futures::future::BoxFuture;
use moka::sync::Cache;
use redb::{Database, ReadTransaction, ReadableDatabase as _};
use service::blocking::Blocking;
use tokio::sync::watch;

use crate::{
    config::HistoryConfig,
    error::Error,
    history::{Arrival, History, HistoryStore, Page, Selection, Tally, UserCopy, Write},
    metrics,
    redb_store::{open::Opener, reads::Reads, writer::Writer},
};

mod apply;
mod load;
mod migrate;
mod open;
mod reads;
mod schema;
mod tables;
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
    /// When the last write that was acknowledged arrived.
    arrived: AtomicU64,
    /// The greatest epoch of MEMBERS noted as settled.
    settled: AtomicU64,
    /// Whether writes are acknowledged.
    writable: watch::Sender<bool>,
}

impl RedbStore {
    /// Opens the file, creating it if it is absent. One of an older schema is taken to have everything by the MEMBERS of
    /// `epoch`.
    ///
    /// # Errors
    /// If another process has it open, or it is of another schema, or cannot be read.
    pub(crate) fn open(config: &HistoryConfig, epoch: u64) -> Result<Self, OpenError> {
        let (path, cache) = (config.path.clone(), config.page_cache_bytes);
        Self::with(config, Box::new(move || open::file(&path, cache, epoch)))
    }

    /// Opens what `opener` opens, now and after each failure.
    fn with(config: &HistoryConfig, opener: Opener) -> Result<Self, OpenError> {
        let database = opener()?;
        let noted = |name| {
            noted(&database, name).map_err(|source| OpenError::Database {
                path: config.path.clone(),
                source,
            })
        };
        let shared = Arc::new(Shared {
            arrived: AtomicU64::new(noted(schema::ARRIVED)?),
            settled: AtomicU64::new(noted(schema::SETTLED)?),
            database: RwLock::new(Some(Arc::new(database))),
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
            reads: Blocking::new("history", 0),
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
    fn write(&self, write: Write) -> BoxFuture<'static, Result<Tally, Error>> {
        self.writer.write(write)
    }

    async fn read(&self, user: &str) -> Result<Arc<History>, Error> {
        let kept = self.shared.cache.get(user);
        metrics::looked("histories", kept.is_some());
        if let Some(history) = kept {
            return Ok(history);
        }
        let (shared, user, keep) = (Arc::clone(&self.shared), user.to_owned(), self.keep);
        self.reads.run(move || shared.load(&user, keep)).await?
    }

    async fn copy(&self, user: &str) -> Result<UserCopy, Error> {
        let (shared, user, keep) = (Arc::clone(&self.shared), user.to_owned(), self.keep);
        let read = move || shared.look(|transaction| load::user(transaction, &user, keep));
        self.reads.run(read).await?
    }

    async fn page(&self, selection: Selection) -> Result<Page, Error> {
        let shared = Arc::clone(&self.shared);
        let read = move || shared.look(|transaction| load::page(transaction, &selection));
        self.reads.run(read).await?
    }

    fn arrived(&self) -> Arrival {
        self.shared.arrived.load(Ordering::Acquire)
    }

    fn settled(&self) -> u64 {
        self.shared.settled.load(Ordering::Acquire)
    }
}

impl Shared {
    /// Reads a user from the file into the cache.
    fn load(&self, user: &str, keep: usize) -> Result<Arc<History>, Error> {
        let read = self.reads.begin(user);
        let history = self.look(|transaction| load::user(transaction, user, keep))?;
        let history = Arc::new(History::from(history));
        read.unless_overtaken(|| self.cache.insert(user.to_owned(), Arc::clone(&history)));
        Ok(history)
    }

    /// Reads from the file, as of one commit.
    fn look<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, Error> {
        let database = self.database();
        let database = database.ok_or_else(|| Error::History("it is being reopened".to_owned()))?;
        let read = database
            .begin_read()
            .map_err(redb::Error::from)
            .and_then(|t| read(&t));
        read.map_err(|cause| Error::History(cause.to_string()))
    }

    /// Makes a commit visible to readers; called before it is acknowledged.
    fn publish(&self, writes: &[&Write], tallies: &[Tally]) {
        let arrived = tallies.iter().map(|tally| tally.arrived).max();
        self.arrived
            .fetch_max(arrived.unwrap_or_default(), Ordering::AcqRel);
        let settles = writes.iter().map(|write| write.settles).max();
        self.settled
            .fetch_max(settles.unwrap_or_default(), Ordering::AcqRel);
        for user in writes.iter().flat_map(|write| write.users()) {
            self.reads.committed(user);
            self.cache.invalidate(user);
        }
    }

    fn database(&self) -> Option<Arc<Database>> {
        let database = self.database.read();
        database.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes by the file as it was opened again: what was cached before may be older than what is on disk.
    fn reopened(&self, database: Database) -> Result<(), redb::Error> {
        let arrived = noted(&database, schema::ARRIVED)?;
        let settled = noted(&database, schema::SETTLED)?;
        self.set_database(Some(Arc::new(database)));
        self.arrived.fetch_max(arrived, Ordering::AcqRel);
        self.settled.fetch_max(settled, Ordering::AcqRel);
        self.reads.all_overtaken();
        self.cache.invalidate_all();
        Ok(())
    }

    fn set_database(&self, database: Option<Arc<Database>>) {
        *self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner) = database;
    }
}

/// The present as an arrival: microseconds since the epoch.
fn now() -> Arrival {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as Arrival)
}

/// A fact that the file notes about itself; 0 if it does not.
fn noted(database: &Database, name: &str) -> Result<u64, redb::Error> {
    let meta = database.begin_read()?.open_table(schema::META)?;
    Ok(meta.get(name)?.map_or(0, |noted| noted.value()))
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
