//! Follows the members and the store, so that every recall starts from one consistent view of both.

mod crew;
mod follower;
mod held;
mod look;
mod pin;
mod resolve;
mod srv;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
    time::Duration,
};

use generation::{
    lease::Leases,
    manifest::Manifest,
    open,
    store::{Current, Members, Store},
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::{debug, info, warn};

use crate::{
    calls::Calls,
    config::{Config, TopologyConfig},
    error::Error,
    metrics,
    replica::Connect,
};
use crew::{Crew, Member};
use follower::Orders;
use look::{ITEM_TOWERS, Models, Shards, USER_TOWERS};
use pin::Readiness;

pub(crate) use held::Held;
pub(crate) use resolve::Place;
pub(crate) use view::{UserMember, Variant, View};

/// How long the store may take, and how long something that it cannot give is not asked for again.
const STORE: Duration = Duration::from_secs(5);

/// The members, the store, and the newest view of them.
#[derive(Debug)]
pub(crate) struct Topology {
    /// Where generations and pointers are.
    pub(crate) store: Store,
    /// Generations that callers asked to be kept.
    pub(crate) leases: Leases,
    item_towers: Vec<Place>,
    user_towers: Vec<Place>,
    config: TopologyConfig,
    connect: Connect,
    calls: Arc<Calls>,
    view: watch::Sender<Arc<View>>,
    /// Nobody shall go by an older look than this.
    since: watch::Sender<Instant>,
    born: Instant,
}

/// What one view leaves to the next.
#[derive(Debug, Default)]
struct Memory {
    held: BTreeMap<String, Arc<Held>>,
    /// Generations whose manifests could not be read, and when that was.
    unreadable: BTreeMap<String, Instant>,
    /// The generation that CURRENT wants served and that is not pinned, and since when.
    awaited: Option<(String, Instant)>,
}

/// The store's pointers, as they were last read.
#[derive(Clone, Debug, Default)]
struct Pointers {
    /// When they were.
    read: Option<Instant>,
    current: Option<Current>,
    members: Option<Members>,
}

/// What all members said last.
struct Reports {
    pointers: Pointers,
    items: Vec<Member<Shards>>,
    users: Vec<Member<Models>>,
}

impl Reports {
    /// Counts the members that serve, and those that are left out.
    fn count(&self) {
        fn of<H: Clone + Default + PartialEq + Send + Sync + 'static>(
            kind: &'static str,
            members: &[Member<H>],
        ) {
            let serving = members.iter().filter(|member| member.is_healthy()).count();
            let out = members
                .iter()
                .filter(|member| member.replica.is_out())
                .count();
            metrics::members(kind, serving, out);
        }
        of("item_tower", &self.items);
        of("user_tower", &self.users);
    }
}

impl Topology {
    /// Knows the members by name only; nobody is asked yet. Connections are made by `connect`.
    pub(crate) fn new(store: Store, config: &Config, connect: Connect) -> Self {
        Self {
            store,
            leases: Leases::new(Duration::ZERO),
            item_towers: config.item_towers().collect(),
            user_towers: config.user_towers().collect(),
            config: config.topology.clone(),
            connect,
            calls: Arc::new(Calls::new(&config.retries)),
            view: watch::Sender::default(),
            since: watch::Sender::new(Instant::now()),
            born: Instant::now(),
        }
    }

    /// The newest view. Who keeps it for a whole call answers from one generation.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// The newest view; of a gateway that has just begun, the first that a recall can go by, if it comes before `until` and while members
    /// may still be about to answer for the first time.
    pub(crate) async fn settled(&self, until: Instant) -> Arc<View> {
        let until = until.min(self.born + self.config.timeout);
        let is_settled = |view: &Arc<View>| view.pinned.is_some() && view.knows_owners();
        let view = self.view();
        if is_settled(&view) || Instant::now() >= until {
            return view;
        }
        let mut views = self.view.subscribe();
        match timeout_at(until, views.wait_for(is_settled)).await {
            Ok(Ok(settled)) => settled.clone(),
            _ => self.view(),
        }
    }

    /// The newest view, and each that follows.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    /// Looks afresh: returns a view of looks that were begun after this call, or the newest there is at `until`.
    pub(crate) async fn refresh(&self, until: Instant) -> Arc<View> {
        let now = Instant::now();
        let mut views = self.view.subscribe();
        self.since.send_if_modified(|since| {
            let older = *since < now;
            *since = now.max(*since);
            older
        });
        let fresh = views.wait_for(|view| view.since.is_some_and(|since| since >= now));
        if timeout_at(until, fresh).await.is_err() {
            warn!("the members could not be looked at in time");
        }
        self.view()
    }

    /// Answers a call by the newest view; if a member has moved on since, once more by a fresh one. Where that shows nothing new, only as
    /// far as the budget of retries goes.
    pub(crate) async fn with_view<A, F>(
        &self,
        until: Instant,
        call: impl Fn(Arc<View>) -> F,
    ) -> Result<A, Error>
    where
        F: Future<Output = Result<A, Error>>,
    {
        let before = self.settled(until).await;
        match call(before.clone()).await {
            Err(stale) if stale.is_stale() => {
                debug!(cause = %stale, "a member goes by another state");
                let fresh = self.refresh(until).await;
                if fresh.shows_the_same(&before) && !self.calls.retries.spend() {
                    return Err(stale);
                }
                call(fresh).await
            }
            answer => answer,
        }
    }

    /// Follows members and store for ever; tells `changed` of each view.
    pub(crate) async fn follow(&self, changed: impl Fn(&View)) {
        let (items, items_at) = watch::channel(BTreeSet::new());
        let (users, users_at) = watch::channel(BTreeSet::new());
        let (pointers, pointed) = watch::channel(Pointers::default());
        let every = self.config.resolve;
        tokio::select! {
            _ = resolve::follow(&self.item_towers, every, items) => {}
            _ = resolve::follow(&self.user_towers, every, users) => {}
            () = self.follow_pointers(pointers) => {}
            () = self.compose(items_at, users_at, pointed, changed) => {}
        }
    }

    /// Reads CURRENT and MEMBERS every now and then, and whenever nobody shall go by what they were.
    async fn follow_pointers(&self, pointers: watch::Sender<Pointers>) {
        let mut since = self.since.subscribe();
        loop {
            let read = Instant::now();
            let both = async { tokio::join!(self.store.current(), self.store.members()) };
            match timeout(STORE, both).await {
                Ok((current, members)) => pointers.send_modify(|pointers| {
                    pointers.read = Some(read);
                    match current {
                        Ok(current) => pointers.current = current.map(|current| current.value),
                        Err(cause) => warn!(%cause, "CURRENT cannot be read"),
                    }
                    match members {
                        Ok(members) => pointers.members = members.map(|members| members.value),
                        Err(cause) => warn!(%cause, "MEMBERS cannot be read"),
                    }
                }),
                Err(_) => warn!("the store does not answer"),
            }
            tokio::select! {
                () = sleep(self.config.refresh) => {}
                Ok(_) = since.wait_for(|since| *since > read) => {}
            }
        }
    }

    /// Makes a new view whenever a member says something new, the members are others, or CURRENT or MEMBERS are read.
    async fn compose(
        &self,
        mut items_at: watch::Receiver<BTreeSet<String>>,
        mut users_at: watch::Receiver<BTreeSet<String>>,
        mut pointers: watch::Receiver<Pointers>,
        changed: impl Fn(&View),
    ) {
        let keep = watch::Sender::default();
        let orders = Orders {
            refresh: self.config.refresh,
            timeout: self.config.timeout,
            since: self.since.subscribe(),
            keep: keep.subscribe(),
            changed: Arc::new(Notify::new()),
        };
        let connect_timeout = self.config.connect_timeout;
        let mut items = Crew::new(&ITEM_TOWERS, self.connect.clone(), connect_timeout);
        let mut users = Crew::new(&USER_TOWERS, self.connect.clone(), connect_timeout);
        let mut memory = Memory::default();
        loop {
            items.be(&items_at.borrow_and_update(), &orders);
            users.be(&users_at.borrow_and_update(), &orders);
            let reports = Reports {
                pointers: pointers.borrow_and_update().clone(),
                items: items.members(),
                users: users.members(),
            };
            reports.count();
            self.learn_generations(&mut memory, &reports).await;
            let view = self.look(&mut memory, &reports);
            self.keep(&keep, &view);
            changed(&view);
            self.view.send_replace(Arc::new(view));
            tokio::select! {
                () = orders.changed.notified() => {}
                Ok(()) = pointers.changed() => {}
                Ok(()) = items_at.changed() => {}
                Ok(()) = users_at.changed() => {}
            }
        }
    }

    /// Reads the manifests of generations that members hold, and forgets those that nobody does.
    async fn learn_generations(&self, memory: &mut Memory, reports: &Reports) {
        let ids = reports.items.iter();
        let ids: BTreeSet<_> = ids
            .flat_map(|member| member.report.held.generations())
            .collect();
        let mut held = BTreeMap::new();
        for id in ids {
            let manifest = match memory.held.get(id) {
                Some(before) => Some(before.manifest.clone()),
                None => self.read_manifest(memory, id).await,
            };
            if let Some(manifest) = manifest {
                let known = Held::new(manifest, self.calls.clone(), &reports.items);
                held.insert(id.to_owned(), Arc::new(known));
            }
        }
        memory.held = held;
    }

    /// Reads a manifest, unless that was tried in vain just now.
    async fn read_manifest(&self, memory: &mut Memory, id: &str) -> Option<Arc<Manifest>> {
        memory.unreadable.retain(|_, at| at.elapsed() < STORE);
        if memory.unreadable.contains_key(id) {
            return None;
        }
        let cause = match timeout(STORE, open::open(&self.store, id)).await {
            Ok(Ok(opened)) => return Some(Arc::new(opened.manifest)),
            Ok(Err(cause)) => cause.to_string(),
            Err(_) => "the store does not answer".to_owned(),
        };
        warn!(generation = id, %cause, "a member holds a generation that the store cannot give");
        memory.unreadable.insert(id.to_owned(), Instant::now());
        None
    }

    /// Puts together what store and members say.
    fn look(&self, memory: &mut Memory, reports: &Reports) -> View {
        let now = Instant::now();
        let items = reports.items.iter().map(|member| member.asked(now));
        let users = reports.users.iter().map(|member| member.asked(now));
        let looks = items.chain(users).chain([reports.pointers.read]);
        let users = reports.users.iter().map(|member| UserMember {
            name: member.report.held.name.clone(),
            replica: member.replica.clone(),
            asked: member.report.asked.is_some(),
            healthy: member.is_healthy(),
            held: member.report.held.generations.clone(),
        });
        let mut view = View {
            since: looks.min().flatten(),
            current: reports.pointers.current.clone(),
            pinned: self.view.borrow().pinned.clone(),
            candidate: None,
            held: memory.held.clone(),
            everywhere: BTreeSet::new(),
            laggards: Vec::new(),
            members: reports.pointers.members.clone(),
            users: users.collect(),
        };
        self.pin(&mut view, memory, reports);
        view
    }

    /// Decides which generations the view answers from.
    fn pin(&self, view: &mut View, memory: &mut Memory, reports: &Reports) {
        let Some(current) = &reports.pointers.current else {
            return;
        };
        let waited = match &memory.awaited {
            Some((awaited, since)) if *awaited == current.serving => since.elapsed(),
            _ => {
                memory.awaited = Some((current.serving.clone(), Instant::now()));
                Duration::ZERO
            }
        };
        let readiness = |id: &str| pin::readiness(view, id, &reports.items);
        let chosen = pin::choose(
            current,
            view.pinned.as_deref(),
            waited >= self.config.patience,
            readiness,
        );
        if chosen == Some(current.serving.as_str()) {
            memory.awaited = Some((current.serving.clone(), Instant::now()));
        }
        let chosen = chosen.map(str::to_owned);
        let before = self.view();
        let on_trial = current.candidate.as_ref().filter(|on_trial| {
            let known = before.candidate.as_ref();
            let was = known.is_some_and(|known| known.generation == on_trial.generation);
            // As the one pinned does, it stays where a member is missed for a moment.
            let enough = if was {
                Readiness::Part
            } else {
                Readiness::Whole
            };
            readiness(&on_trial.generation) >= enough
        });
        let everywhere = view.held.keys();
        let everywhere = everywhere.filter(|id| readiness(id) >= Readiness::Everywhere);
        let everywhere = everywhere.cloned().collect();
        let laggards = pin::laggards(view, &current.serving, &reports.items);
        view.candidate = on_trial.cloned();
        view.everywhere = everywhere;
        if chosen != view.pinned {
            info!(from = ?view.pinned, to = ?chosen, ?laggards, "generation pinned");
            view.pinned = chosen;
        }
        view.laggards = laggards;
    }

    /// Orders the members to keep what the view answers from, and what callers need.
    fn keep(&self, keep: &watch::Sender<Arc<BTreeSet<String>>>, view: &View) {
        let answering = view.pinned.iter();
        let answering = answering.chain(view.candidate.iter().map(|on_trial| &on_trial.generation));
        let needed = view.held.keys().filter(|id| self.leases.needs(id));
        let wanted: BTreeSet<String> = answering.chain(needed).cloned().collect();
        keep.send_if_modified(|kept| {
            let changed = **kept != wanted;
            if changed {
                *kept = Arc::new(wanted);
            }
            changed
        });
    }
}
