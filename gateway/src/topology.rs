//! Follows the members and the store, so that every recall starts from one consistent view of both.

mod held;
mod pin;
mod poll;
mod view;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::future::join_all;
use generation::store::{Current, Members, Store};
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, interval, timeout_at},
};
use tracing::{debug, info, warn};

use crate::{
    config::{Config, TopologyConfig},
    error::Error,
    replica::Replica,
};
use poll::ItemMember;

pub(crate) use held::Held;
pub(crate) use poll::UserMember;
pub(crate) use view::View;

/// The members, the store, and the newest view of them.
#[derive(Debug)]
pub(crate) struct Topology {
    store: Store,
    user_towers: BTreeMap<String, Arc<Replica>>,
    item_towers: Vec<Arc<Replica>>,
    timeout: Duration,
    refresh: Duration,
    patience: Duration,
    view: watch::Sender<Arc<View>>,
    /// Polls begun so far.
    begun: AtomicU64,
    memory: Mutex<Memory>,
}

/// What one poll leaves to the next.
#[derive(Debug, Default)]
struct Memory {
    current: Option<Current>,
    members: Option<Members>,
    item_members: Vec<ItemMember>,
    user_members: Vec<UserMember>,
    held: BTreeMap<String, Arc<Held>>,
    /// The generation that CURRENT wants served and that is not pinned, and since when.
    awaited: Option<(String, Instant)>,
}

impl Topology {
    /// Prepares connections to the members; nobody is asked yet.
    ///
    /// # Errors
    /// If an address cannot be parsed.
    pub(crate) fn new(store: Store, config: &Config) -> Result<Self, tonic::transport::Error> {
        let TopologyConfig {
            refresh,
            timeout,
            connect_timeout,
            patience,
        } = config.topology;
        let replica = |address: &str| Replica::new(address, connect_timeout).map(Arc::new);
        let user_towers = config
            .user_towers()
            .map(|(name, address)| Ok((name.to_owned(), replica(address)?)))
            .collect::<Result<_, _>>()?;
        let item_towers = config
            .item_towers
            .iter()
            .map(|address| replica(address))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            store,
            user_towers,
            item_towers,
            timeout,
            refresh,
            patience,
            view: watch::Sender::new(Arc::default()),
            begun: AtomicU64::new(0),
            memory: Mutex::default(),
        })
    }

    /// The newest view. Who keeps it for a whole call answers from one generation.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Looks afresh: returns a view that was begun after this call, or the newest there is at `until`.
    pub(crate) async fn refresh(&self, until: Instant) -> Arc<View> {
        let begun = self.begun.load(Relaxed);
        let looked = timeout_at(until, async {
            let mut memory = self.memory.lock().await;
            if self.view.borrow().number <= begun {
                self.poll(&mut memory).await;
            }
        });
        if looked.await.is_err() {
            warn!("the members could not be looked at in time");
        }
        self.view()
    }

    /// Answers a call by the newest view; if a member has moved on since, once more by a fresh one.
    pub(crate) async fn with_view<A, F>(
        &self,
        until: Instant,
        call: impl Fn(Arc<View>) -> F,
    ) -> Result<A, Error>
    where
        F: Future<Output = Result<A, Error>>,
    {
        match call(self.view()).await {
            Err(stale) if stale.is_stale() => {
                debug!(cause = %stale, "call begins afresh");
                call(self.refresh(until).await).await
            }
            answer => answer,
        }
    }

    /// Looks every now and then, for ever; tells `changed` of each view.
    pub(crate) async fn follow(&self, changed: impl Fn(&View)) {
        let mut ticks = interval(self.refresh);
        loop {
            ticks.tick().await;
            self.poll(&mut *self.memory.lock().await).await;
            changed(&self.view());
        }
    }

    /// Asks the store and all members at once, and makes a new view of what they say.
    async fn poll(&self, memory: &mut Memory) {
        let number = self.begun.fetch_add(1, Relaxed) + 1;
        let until = Instant::now() + self.timeout;
        let items = self.item_towers.iter().enumerate().map(|(at, replica)| {
            let before = memory.item_members.get(at);
            poll::item_member(replica, before, until)
        });
        let users = self.user_towers.iter().enumerate().map(|(at, member)| {
            let before = memory.user_members.get(at);
            poll::user_member(member, before, until)
        });
        let (items, users, current, members) = tokio::join!(
            join_all(items),
            join_all(users),
            self.store.current(),
            self.store.members(),
        );
        memory.item_members = items;
        memory.user_members = users;
        match current {
            Ok(current) => memory.current = current.map(|current| current.value),
            Err(cause) => warn!(%cause, "CURRENT cannot be read"),
        }
        match members {
            Ok(members) => memory.members = members.map(|members| members.value),
            Err(cause) => warn!(%cause, "MEMBERS cannot be read"),
        }
        self.learn_generations(memory).await;

        let mut view = View {
            number,
            pinned: self.view.borrow().pinned.clone(),
            held: memory.held.clone(),
            members: memory.members.clone(),
            users: memory.user_members.clone(),
        };
        self.pin(&mut view, memory);
        self.view.send_replace(Arc::new(view));
    }

    /// Reads the manifests of generations that members hold, and forgets those that nobody does.
    async fn learn_generations(&self, memory: &mut Memory) {
        let mut held = BTreeMap::new();
        for id in poll::generations(&memory.item_members) {
            let manifest = match memory.held.get(id) {
                Some(before) => before.manifest.clone(),
                None => match generation::open::open(&self.store, id).await {
                    Ok(opened) => Arc::new(opened.manifest),
                    Err(cause) => {
                        warn!(generation = id, %cause, "a member holds a generation that the store cannot give");
                        continue;
                    }
                },
            };
            held.insert(
                id.to_owned(),
                Arc::new(Held::new(manifest, &memory.item_members)),
            );
        }
        memory.held = held;
    }

    /// Decides which generation the view answers from.
    fn pin(&self, view: &mut View, memory: &mut Memory) {
        let Some(current) = &memory.current else {
            return;
        };
        let waited = match &memory.awaited {
            Some((awaited, since)) if *awaited == current.serving => since.elapsed(),
            _ => {
                memory.awaited = Some((current.serving.clone(), Instant::now()));
                Duration::ZERO
            }
        };
        let readiness = |id: &str| pin::readiness(view, id, &memory.item_members);
        let chosen = pin::choose(
            current,
            view.pinned.as_deref(),
            waited >= self.patience,
            readiness,
        );
        if chosen == Some(current.serving.as_str()) {
            memory.awaited = Some((current.serving.clone(), Instant::now()));
        }
        let chosen = chosen.map(str::to_owned);
        if chosen != view.pinned {
            info!(from = ?view.pinned, to = ?chosen, "generation pinned");
            view.pinned = chosen;
        }
    }
}
