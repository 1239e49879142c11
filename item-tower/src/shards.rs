//! Holds the shards of the generations that CURRENT names.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use generation::{
    lease::Leases,
    open, placement,
    store::{Current, Store},
};
use service::blocking::Blocking;
use tokio::sync::watch;
use tracing::{error, info};

use crate::{
    config::{Config, ShardsConfig},
    deltas::Log,
    error::Error,
    shards::{held::Held, snapshot::Snapshot},
};

pub(crate) mod held;
pub(crate) mod snapshot;

/// How long a generation that could not be opened is left alone, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// The generations held, and the loop that keeps them those that CURRENT names.
pub(crate) struct Shards {
    store: Store,
    placement: Placement,
    config: ShardsConfig,
    blocking: Blocking,
    log: Log,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// Generations that callers still need.
    pub(crate) leases: Leases,
}

/// Which shards are this member's.
#[derive(Clone)]
struct Placement {
    member: String,
    members: Vec<String>,
    replicas: usize,
}

/// What the loop remembers from one look at the store to the next.
#[derive(Default)]
struct Memory {
    named: BTreeMap<String, Instant>,
    failed: BTreeMap<String, Failure>,
}

/// A generation that could not be opened.
struct Failure {
    times: u32,
    last: Instant,
}

impl Shards {
    /// Holds nothing yet; opening runs on `blocking`, and what is opened goes on from what `log` says.
    pub(crate) fn new(store: Store, config: &Config, blocking: Blocking, log: Log) -> Self {
        Self {
            store,
            placement: Placement {
                member: config.member.clone(),
                members: config.members.clone(),
                replicas: config.replicas,
            },
            config: config.shards.clone(),
            blocking,
            log,
            snapshot: watch::Sender::default(),
            leases: Leases::new(config.shards.linger),
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

    /// Follows CURRENT for good; tells `healthy` after each look whether any generation answers.
    pub(crate) async fn follow(&self, healthy: impl Fn(bool)) -> Infallible {
        let mut memory = Memory::default();
        loop {
            if let Err(cause) = self.look(&mut memory).await {
                error!(%cause, "store cannot be read");
            }
            healthy(self.snapshot().answering().is_some());
            tokio::time::sleep(self.config.refresh).await;
        }
    }

    /// Reads CURRENT once, opens what it names, and lets go of what it named too long ago.
    async fn look(&self, memory: &mut Memory) -> Result<(), Error> {
        let Some(current) = self.store.current().await? else {
            return Ok(());
        };
        let current = current.value;
        let now = Instant::now();
        let names = current.generations().map(|id| (id.to_owned(), now));
        memory.named.extend(names);
        for id in current.generations() {
            if !self.snapshot().holds(id) && memory.may_try(id) {
                self.load(id, memory).await;
            }
            self.change(|snapshot| snapshot.follow(&current));
        }
        self.expire(&current, memory);
        Ok(())
    }

    /// Opens one generation; a failure leaves what is held as it is.
    async fn load(&self, id: &str, memory: &mut Memory) {
        match self.open(id).await {
            Ok(held) => {
                info!(generation = id, shards = ?held.shards.keys(), items = held.manifest.items, delta = held.delta(), "generation held");
                memory.failed.remove(id);
                self.change(|snapshot| {
                    snapshot.add(held);
                    true
                });
            }
            Err(cause) => {
                error!(generation = id, %cause, "generation refused, the last good one is kept");
                memory.fail(id);
                self.change(|snapshot| {
                    snapshot.refuse(id, &cause);
                    true
                });
            }
        }
    }

    /// Opens one generation, with what came since it was made.
    async fn open(&self, id: &str) -> Result<Arc<Held>, Error> {
        let generation = open::open(&self.store, id).await?;
        let (placement, config) = (self.placement.clone(), self.config.clone());
        let open = move || Held::open(&generation, |shard| placement.is_mine(shard), &config);
        let held = Arc::new(self.blocking.run(open).await??);
        match self.log.catch_up(&held).await {
            // Without what came since it would show items that were taken out; while nothing answers, that is better than nothing.
            Err(cause) if self.snapshot().answering().is_some() => Err(cause),
            Err(cause) => {
                error!(generation = id, %cause, "what came since is missing");
                Ok(held)
            }
            Ok(()) => Ok(held),
        }
    }

    /// Lets go of generations unnamed for `linger`, but never of the last good one, or of one that somebody needs.
    fn expire(&self, current: &Current, memory: &mut Memory) {
        let snapshot = self.snapshot();
        let linger = self.config.linger;
        let answering = snapshot.answering();
        memory.named.retain(|id, named| {
            named.elapsed() < linger
                || Some(id.as_str()) == answering
                || names(current, id)
                || self.leases.needs(id)
        });
        memory.failed.retain(|id, _| names(current, id));
        if snapshot.ids().all(|id| memory.named.contains_key(id)) {
            return;
        }
        self.change(|snapshot| {
            snapshot.retain(|id| memory.named.contains_key(id));
            true
        });
        info!(held = ?self.snapshot().ids().collect::<Vec<_>>(), "generations let go");
    }

    /// Makes a change, and tells of it if it says that it is one.
    fn change(&self, change: impl FnOnce(&mut Snapshot) -> bool) {
        self.snapshot
            .send_if_modified(|snapshot| change(Arc::make_mut(snapshot)));
    }
}

impl Placement {
    fn is_mine(&self, shard: u32) -> bool {
        placement::replicas(shard, &self.members, self.replicas)
            .iter()
            .any(|member| *member == self.member)
    }
}

impl Memory {
    /// Whether enough time passed since `id` last failed; the wait doubles each time.
    fn may_try(&self, id: &str) -> bool {
        self.failed.get(id).is_none_or(|failure| {
            let (first, most) = RETRY;
            let wait = first * 2_u32.pow(failure.times.min(8) - 1);
            failure.last.elapsed() >= wait.min(most)
        })
    }

    fn fail(&mut self, id: &str) {
        let failure = self.failed.entry(id.to_owned()).or_insert(Failure {
            times: 0,
            last: Instant::now(),
        });
        failure.times += 1;
        failure.last = Instant::now();
    }
}

fn names(current: &Current, id: &str) -> bool {
    current.generations().any(|named| named == id)
}
