//! Follows one member: what it holds, whether it says that it serves, and which generations it shall keep.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt as _;
use proto::v1::{WatchGenerationRequest, generation_service_client::GenerationServiceClient};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tonic::{Request, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tracing::{info, warn};

use super::look::Kind;
use crate::replica::Replica;

/// How long one call that watches lasts at most.
const WATCH: Duration = Duration::from_secs(600);

/// What all followers go by.
#[derive(Clone, Debug)]
pub(super) struct Orders {
    /// How often a member is asked.
    pub(super) refresh: Duration,
    /// How long it may take to answer.
    pub(super) timeout: Duration,
    /// Nobody shall go by an older look than this.
    pub(super) since: watch::Receiver<Instant>,
    /// The generations to keep.
    pub(super) keep: watch::Receiver<Arc<BTreeSet<String>>>,
    /// Told of every change, and of every look that somebody waits for.
    pub(super) changed: Arc<Notify>,
}

impl Orders {
    /// How soon a member that did not answer is asked again.
    fn soon(&self) -> Duration {
        self.refresh.min(self.timeout)
    }
}

/// What a member said last.
#[derive(Clone, Debug)]
pub(super) struct Report<H> {
    /// When it was asked.
    pub(super) asked: Option<Instant>,
    /// Whether it answered.
    pub(super) answers: bool,
    /// What it holds by its last answer.
    pub(super) held: H,
}

/// One member, followed as long as this lives.
#[derive(Debug)]
pub(super) struct Follower<H> {
    pub(super) replica: Arc<Replica>,
    pub(super) report: watch::Receiver<Report<H>>,
    _tasks: JoinSet<()>,
}

impl<H: Clone + Default + PartialEq + Send + Sync + 'static> Follower<H> {
    /// Begins to follow a member.
    pub(super) fn start(replica: Arc<Replica>, kind: &'static Kind<H>, orders: &Orders) -> Self {
        let (reports, report) = watch::channel(Report {
            asked: None,
            answers: false,
            held: H::default(),
        });
        // When what it holds may have changed.
        let hint = Arc::new(Notify::new());
        let mut tasks = JoinSet::new();
        let looking = look(replica.clone(), kind, orders.clone(), reports, hint.clone());
        tasks.spawn(looking);
        tasks.spawn(watch_health(replica.clone(), kind.service, orders.clone()));
        tasks.spawn(keep(replica.clone(), orders.clone(), hint));
        Self {
            replica,
            report,
            _tasks: tasks,
        }
    }
}

/// Asks the member now and then, when it says that something changed, and when nobody shall go by what it said before.
async fn look<H: Clone + PartialEq>(
    replica: Arc<Replica>,
    kind: &Kind<H>,
    mut orders: Orders,
    reports: watch::Sender<Report<H>>,
    hint: Arc<Notify>,
) {
    loop {
        let asked = Instant::now();
        let answer = (kind.look)(&replica, asked + orders.timeout).await;
        match (&answer, reports.borrow().answers) {
            (Ok(_), false) => info!(member = replica.address(), "member answers"),
            (Err(cause), true) => {
                warn!(member = replica.address(), %cause, "member does not answer");
            }
            _ => {}
        }
        let before = reports.borrow().clone();
        let report = Report {
            asked: Some(asked),
            answers: answer.is_ok(),
            held: answer.unwrap_or_else(|_| before.held.clone()),
        };
        let told_new = report.held != before.held || report.answers != before.answers;
        let wait = if report.answers {
            orders.refresh
        } else {
            orders.soon()
        };
        let first = before.asked.is_none();
        let waited_for = before.asked < Some(*orders.since.borrow());
        reports.send_replace(report);
        if first || told_new || waited_for {
            orders.changed.notify_one();
        }
        tokio::select! {
            () = sleep(wait) => {}
            () = hint.notified() => {}
            Ok(_) = orders.since.wait_for(|since| *since > asked) => {}
        }
    }
}

/// Notes whether the member says that it serves, as soon as it says so or is cut off.
async fn watch_health(replica: Arc<Replica>, service: &'static str, orders: Orders) {
    let says = |serving| {
        if replica.says_serving(serving) {
            info!(
                member = replica.address(),
                serving, "member's health changed"
            );
            orders.changed.notify_one();
        }
    };
    loop {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let mut client = HealthClient::new(replica.channel());
        if let Ok(Ok(answer)) = timeout(orders.timeout, client.watch(request)).await {
            let mut told = answer.into_inner();
            while let Ok(Some(told)) = told.message().await {
                says(told.status() == ServingStatus::Serving);
            }
        }
        says(false);
        sleep(orders.soon()).await;
    }
}

/// Lets the member keep the generations that are to be kept, each by a call that lasts; gives a hint when the member says that what
/// it holds has changed.
async fn keep(replica: Arc<Replica>, mut orders: Orders, hint: Arc<Notify>) {
    let mut kept = BTreeMap::new();
    let again = orders.soon();
    loop {
        let wanted = orders.keep.borrow_and_update().clone();
        kept.retain(|generation, _| wanted.contains(generation));
        for generation in wanted.iter() {
            kept.entry(generation.clone()).or_insert_with(|| {
                let mut task = JoinSet::new();
                let request = WatchGenerationRequest {
                    generation: generation.clone(),
                };
                let (replica, hint) = (replica.clone(), hint.clone());
                task.spawn(watch_generation(replica, request, again, hint));
                task
            });
        }
        if orders.keep.changed().await.is_err() {
            return;
        }
    }
}

async fn watch_generation(
    replica: Arc<Replica>,
    request: WatchGenerationRequest,
    again: Duration,
    hint: Arc<Notify>,
) {
    loop {
        let mut asked = Request::new(request.clone());
        asked.set_timeout(WATCH);
        let mut client = GenerationServiceClient::new(replica.channel());
        let answer = timeout(WATCH, client.watch_generation(asked)).await;
        if let Ok(Ok(answer)) = answer {
            let changes = answer.into_inner().skip(1);
            let changes = changes.take_while(|change: &Result<_, Status>| {
                let goes_on = change.is_ok();
                async move { goes_on }
            });
            changes.for_each(|_| async { hint.notify_one() }).await;
        }
        sleep(again).await;
    }
}
