//! Holds the user models of the generations that CURRENT names.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use generation::{
    lease::Leases,
    open::{self, Generation},
    store::{Current, Store},
};
use service::blocking::Blocking;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::{
    config::{BatcherConfig, Config},
    error::Error,
    models::{
        model::{Held, Loaded, Model},
        rows::ItemRows,
        snapshot::Snapshot,
    },
};

mod direct;
mod fresh;
mod log;
pub(crate) mod model;
mod rows;
pub(crate) mod snapshot;
mod vectors;

/// How long a generation that could not be loaded is left alone, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// The models held, and the loop that keeps them those that CURRENT names.
pub(crate) struct Models {
    store: Store,
    batcher: BatcherConfig,
    refresh: Duration,
    linger: Duration,
    sessions: usize,
    vector_bytes: u64,
    pool: Blocking,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// Generations that callers still need.
    pub(crate) leases: Leases,
}

/// What the loop remembers from one look at the store to the next.
#[derive(Default)]
struct Memory {
    named: BTreeMap<String, Instant>,
    failed: BTreeMap<String, Failure>,
    unreadable: Option<String>,
}

/// A generation that could not be loaded: when it may be tried again, and the wait after that.
struct Failure {
    again: Instant,
    wait: Duration,
}

impl Models {
    /// Holds nothing yet; inferences run on `pool`.
    pub(crate) fn new(store: Store, config: &Config, pool: Blocking) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            store,
            batcher: config.batcher.clone(),
            refresh: config.models.refresh,
            linger: config.models.linger,
            sessions: match config.models.sessions {
                0 => cores(),
                sessions => sessions,
            },
            vector_bytes: config.models.vector_cache_bytes,
            pool,
            snapshot: watch::Sender::default(),
            leases: Leases::new(config.models.linger),
        }
    }

    /// What is held now; a call keeps it until it is answered.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// What is held now, and each time that it changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    /// Follows CURRENT for good; tells `serves` after each look whether any generation answers.
    pub(crate) async fn follow(&self, serves: impl Fn(bool)) -> Infallible {
        let mut memory = Memory::default();
        loop {
            let looked = self.look(&mut memory).await.err();
            memory.complain(looked.map(|cause| cause.to_string()));
            serves(self.snapshot().answering().is_some());
            tokio::time::sleep(self.refresh).await;
        }
    }

    /// Reads CURRENT once, loads what it names, and lets go of what it named too long ago.
    async fn look(&self, memory: &mut Memory) -> Result<(), Error> {
        let Some(current) = self.store.current().await? else {
            return Ok(());
        };
        let current = current.value;
        for id in current.generations() {
            memory.named.insert(id.to_owned(), Instant::now());
            if !self.snapshot().holds(id) && memory.may_try(id) {
                self.load(id, memory).await;
            }
            // After each, so that the serving one answers before the previous is loaded.
            self.change(|snapshot| snapshot.follow(&current));
        }
        self.expire(&current, memory);
        Ok(())
    }

    /// Loads one generation's model; a failure leaves what is held as it is.
    async fn load(&self, id: &str, memory: &mut Memory) {
        match self.open(id).await {
            Ok(held) => {
                info!(
                    generation = id,
                    space = held.model.artifact.space,
                    "model held"
                );
                memory.failed.remove(id);
                self.change(|snapshot| {
                    snapshot.add(held);
                    true
                });
            }
            Err(cause) => {
                error!(generation = id, %cause, "model refused, the last good one is kept");
                memory.fail(id);
            }
        }
    }

    async fn open(&self, id: &str) -> Result<Held, Error> {
        let generation = open::open(&self.store, id).await?;
        let manifest = generation.manifest.clone();
        let held = self.snapshot().model_of(&manifest.space);
        let artifact = match &held {
            Some(model) => model.artifact.clone(),
            None => self.load_artifact(&manifest.space).await?,
        };
        if artifact.dim != manifest.dim {
            return Err(Error::Dimension {
                generation: manifest.id,
                found: artifact.dim,
                expected: manifest.dim,
            });
        }
        let model = match held {
            Some(model) if !artifact.reads_rows => model,
            _ => self.start(artifact, generation).await?,
        };
        Ok(Held { manifest, model })
    }

    /// Loads an artifact beside those that serve.
    async fn load_artifact(&self, space: &str) -> Result<Loaded, Error> {
        let dir = self.store.fetch_artifact(space).await?;
        let sessions = self.sessions;
        // A thread of its own: loading must not wait for inferences, nor they for it.
        Blocking::new("opening", 1)
            .run(move || model::load(&dir, sessions))
            .await?
    }

    /// Gives a model its queue, and the rows of `generation` if it reads them.
    async fn start(&self, artifact: Loaded, generation: Generation) -> Result<Arc<Model>, Error> {
        let rows = match artifact.reads_rows {
            true => {
                let opening = Blocking::new("opening", 1);
                let rows = opening.run(move || ItemRows::open(&generation)).await??;
                if let Err(cause) = rows.catch_up(&self.store).await {
                    warn!(%cause, "a model begins behind the catalog's log");
                }
                Some(rows)
            }
            false => None,
        };
        let pool = self.pool.clone();
        let model = artifact.start(rows, &self.batcher, pool, self.vector_bytes);
        Ok(Arc::new(model))
    }

    /// Lets go of generations unnamed for `linger`, but never of the one that answers, or of one that somebody needs.
    fn expire(&self, current: &Current, memory: &mut Memory) {
        let snapshot = self.snapshot();
        let names = |id: &str| current.generations().any(|named| named == id);
        memory.failed.retain(|id, _| names(id));
        memory.named.retain(|id, named| {
            names(id)
                || named.elapsed() < self.linger
                || snapshot.answering() == Some(id)
                || self.leases.needs(id)
        });
        if snapshot.ids().any(|id| !memory.named.contains_key(id)) {
            self.change(|snapshot| {
                snapshot.retain(|id| memory.named.contains_key(id));
                true
            });
            info!(held = ?self.snapshot().ids().collect::<Vec<_>>(), "models let go");
        }
    }

    /// Makes a change, and tells of it if it says that it is one.
    fn change(&self, change: impl FnOnce(&mut Snapshot) -> bool) {
        self.snapshot
            .send_if_modified(|snapshot| change(Arc::make_mut(snapshot)));
    }
}

impl Memory {
    fn may_try(&self, id: &str) -> bool {
        let failure = self.failed.get(id);
        failure.is_none_or(|failure| Instant::now() >= failure.again)
    }

    /// Puts off the next try, twice as long each time.
    fn fail(&mut self, id: &str) {
        let (first, most) = RETRY;
        let wait = self.failed.get(id).map_or(first, |failure| failure.wait);
        let failure = Failure {
            again: Instant::now() + wait,
            wait: (wait * 2).min(most),
        };
        self.failed.insert(id.to_owned(), failure);
    }

    /// Logs why the store cannot be read, once for each new cause.
    fn complain(&mut self, cause: Option<String>) {
        if let Some(cause) = cause.as_ref().filter(|_| cause != self.unreadable) {
            error!(cause, "CURRENT cannot be read, what is held stays");
        }
        self.unreadable = cause;
    }
}
