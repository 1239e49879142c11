//! Callers of one or more gateways.

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use proto::v1::{
    Event, ItemRef, RecallOptions, RecallRequest, RecallResponse, UserContext, item_ref::Name,
    recall_service_client::RecallServiceClient,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint},
};

use crate::{
    answers::{Outcome, Seen},
    quantiles,
};

/// How long a recall may take.
pub(crate) const DEADLINE: Duration = Duration::from_millis(500);
/// Users that are asked for in turn.
pub(crate) const USERS: u64 = 200;

/// A user with three events, told with the call; every other one is stored as well, and so has an owner.
pub(crate) fn request(user: u64) -> RecallRequest {
    let event = |(place, item): (i64, u64)| Event {
        item: Some(ItemRef {
            name: Some(Name::Id(item)),
        }),
        time: 1_000 + place,
        event_id: place.to_string(),
        ..Event::default()
    };
    let items = [user + 1, user * 7 + 30, user * 11 + 400];
    RecallRequest {
        user_id: match user % 2 {
            0 => format!("user-{user}"),
            _ => String::new(),
        },
        context: Some(UserContext {
            features: None,
            history: (0..).zip(items).map(event).collect(),
        }),
        page_size: 10,
        options: Some(RecallOptions {
            reproducible: true,
            ..RecallOptions::default()
        }),
        ..RecallRequest::default()
    }
}

/// Connections to gateways that take turns.
#[derive(Clone)]
pub(crate) struct Clients {
    /// By gateway.
    connections: Arc<Vec<Vec<Channel>>>,
    next: Arc<AtomicUsize>,
}

impl Clients {
    /// As many connections to each of the gateways, opened when they are first used.
    pub(crate) fn new(gateways: &[String], connections: usize) -> anyhow::Result<Self> {
        let open = |uri: &String| {
            let endpoint = Endpoint::from_shared(uri.clone())?.connect_timeout(DEADLINE);
            Ok((0..connections).map(|_| endpoint.connect_lazy()).collect())
        };
        let connections = gateways.iter().map(open).collect::<anyhow::Result<_>>()?;
        Ok(Self {
            connections: Arc::new(connections),
            next: Arc::default(),
        })
    }

    /// Recalls; a gateway that takes no calls is passed over, as balancers do.
    pub(crate) async fn recall(&self, recall: RecallRequest) -> Result<RecallResponse, Status> {
        let turn = self.next.fetch_add(1, Relaxed);
        let gateways = self.connections.len();
        let mut tried = 0;
        loop {
            let connections = &self.connections[(turn + tried) % gateways];
            let connection = &connections[turn / gateways % connections.len()];
            let mut request = Request::new(recall.clone());
            request.set_timeout(DEADLINE);
            let answer = RecallServiceClient::new(connection.clone())
                .recall(request)
                .await;
            tried += 1;
            match answer {
                Err(status) if tried < gateways && is_lost(&status) => {}
                answer => return answer.map(tonic::Response::into_inner),
            }
        }
    }
}

/// Whether the connection was refused, cut or closed under the call, which is no answer of the gateway's: a recall may be asked again.
fn is_lost(status: &Status) -> bool {
    let codes = [
        Code::Unavailable,
        Code::Unknown,
        Code::Internal,
        Code::Cancelled,
    ];
    status.source().is_some() && codes.contains(&status.code())
}

/// Callers that recall, each as soon as the one before is answered, until they are told to stop.
pub(crate) struct Closed {
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
}

impl Closed {
    /// Starts so many callers.
    pub(crate) fn start(
        clients: &Clients,
        callers: u64,
        seen: &Arc<Seen>,
        recall: fn(u64) -> RecallRequest,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let caller = |caller| {
            let (clients, seen, stop) = (clients.clone(), Arc::clone(seen), Arc::clone(&stop));
            tokio::spawn(async move {
                for turn in (caller..).step_by(callers as usize) {
                    if stop.load(Relaxed) {
                        break;
                    }
                    let user = turn % USERS;
                    seen.take(user, &clients.recall(recall(user)).await);
                }
            })
        };
        Self {
            callers: (0..callers).map(caller).collect(),
            stop,
        }
    }

    /// Waits until the last call of each is answered.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.store(true, Relaxed);
        for caller in self.callers {
            caller.await?;
        }
        Ok(())
    }
}

/// One call of an open loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// When it was to begin, since the first.
    pub(crate) due: Duration,
    /// From then to its answer.
    pub(crate) took: Duration,
    pub(crate) outcome: Outcome,
}

/// Recalls `rate` times a second for as long as `time`, however long each takes.
pub(crate) async fn open(
    clients: &Clients,
    rate: f64,
    time: Duration,
    seen: &Arc<Seen>,
    recall: fn(u64) -> RecallRequest,
) -> anyhow::Result<Vec<Call>> {
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let begun = Instant::now();
    let mut tasks = Vec::new();
    while begun.elapsed() < time {
        // A tick that comes late is charged to its call.
        let due = ticks.tick().await;
        let user = tasks.len() as u64 % USERS;
        let (clients, seen) = (clients.clone(), Arc::clone(seen));
        tasks.push(tokio::spawn(async move {
            let answer = clients.recall(recall(user)).await;
            Call {
                due: due.saturating_duration_since(begun),
                took: due.elapsed(),
                outcome: seen.take(user, &answer),
            }
        }));
    }
    let mut calls = Vec::new();
    for task in tasks {
        calls.push(task.await?);
    }
    Ok(calls)
}

/// The milliseconds that 99 of 100 calls do not exceed; not a number without calls.
pub(crate) fn p99<'a>(calls: impl IntoIterator<Item = &'a Call>) -> f64 {
    let calls = calls.into_iter();
    quantiles::p99(calls.map(|call| call.took.as_secs_f64() * 1e3).collect())
}

/// The share of the calls that are so; not a number without calls.
pub(crate) fn share<'a>(
    calls: impl IntoIterator<Item = &'a Call>,
    is_so: impl Fn(&Call) -> bool,
) -> f64 {
    let (mut all, mut so) = (0.0, 0.0);
    for call in calls {
        all += 1.0;
        so += f64::from(is_so(call));
    }
    so / all
}
