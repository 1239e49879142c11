//! Whether anybody fails or sees two generations mixed while one follows the other every two seconds.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use proto::v1::{
    Event, Exclude, ItemRef, RecallOptions, RecallRequest, RecallResponse, UserContext,
    item_ref::Name, recall_service_client::RecallServiceClient,
};
use stack::house::{House, Plan};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tonic::transport::Channel;

use crate::{Figure, house::Catalog, usage};

const ITEMS: u64 = 2_000;
const CALLERS: u64 = 4;
const USERS: u64 = 20;
const EVERY: Duration = Duration::from_secs(2);

/// What the callers saw.
#[derive(Default)]
struct Seen {
    calls: AtomicU64,
    failed: AtomicU64,
    mixed: AtomicU64,
    /// The answer to each user in each space.
    answers: Mutex<HashMap<(u64, String), Vec<u64>>>,
    /// The space of each generation.
    spaces: Mutex<HashMap<String, String>>,
}

/// Lets generations of two artifacts follow one another for as long as `load`, while callers recall.
pub(crate) async fn measure(load: Duration) -> anyhow::Result<Vec<Figure>> {
    let catalog = Catalog::new(ITEMS, 0, 2).await?;
    let plan = Plan {
        store: catalog.store.clone(),
        ..Plan::at(catalog.folder.path(), 0)
    };
    let mut house = House::start(&plan).await?;
    let item_tower = format!("http://{}", house.item_towers[0]);
    let first = catalog.index(&item_tower, 0, true).await?;
    house.serves(&first.generation).await?;

    let seen = Arc::new(Seen::default());
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| tokio::spawn(ask(house.channel(), caller, seen.clone(), stop.clone())))
        .collect();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (begun, mut generations, mut half) = (Instant::now(), 1, None);
    while begun.elapsed() < load {
        ticks.tick().await;
        catalog.index(&item_tower, generations % 2, true).await?;
        generations += 1;
        if half.is_none() && begun.elapsed() > load / 2 {
            half = Some((usage::memory("self")?, usage::descriptors("self")?));
        }
    }
    let (memory, descriptors) = (usage::memory("self")?, usage::descriptors("self")?);
    stop.store(true, Relaxed);
    for caller in callers {
        caller.await??;
    }
    house.stop().await?;

    let (memory_half, descriptors_half) = half.unwrap_or((memory, descriptors));
    let count = |count: &AtomicU64| count.load(Relaxed) as f64;
    Ok(vec![
        ("reindex_under_load_calls", count(&seen.calls), "1", ""),
        (
            "reindex_under_load_generations",
            generations as f64,
            "1",
            "",
        ),
        (
            "reindex_under_load_minutes",
            load.as_secs_f64() / 60.0,
            "min",
            ">= 5",
        ),
        ("reindex_under_load_failed", count(&seen.failed), "1", "0"),
        ("reindex_under_load_mixed", count(&seen.mixed), "1", "0"),
        (
            "reindex_under_load_memory_growth",
            memory as f64 / memory_half as f64,
            "1",
            "<= 1.05, second half",
        ),
        (
            "reindex_under_load_descriptors_growth",
            descriptors as f64 - descriptors_half as f64,
            "1",
            "<= 8, second half",
        ),
    ])
}

/// Recalls for one user after the other until told to stop.
async fn ask(
    gateway: anyhow::Result<Channel>,
    caller: u64,
    seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let mut gateway = RecallServiceClient::new(gateway?);
    for turn in caller.. {
        if stop.load(Relaxed) {
            break;
        }
        let user = turn % USERS;
        seen.calls.fetch_add(1, Relaxed);
        match gateway.recall(request(user)).await {
            Ok(answer) => seen.take(user, answer.into_inner()),
            Err(status) => {
                println!("failed: {status}");
                seen.failed.fetch_add(1, Relaxed);
            }
        }
    }
    Ok(())
}

impl Seen {
    /// Counts an answer as mixed that is not whole, whose generation had another space before, or that differs from what the
    /// same user got in that space.
    fn take(&self, user: u64, answer: RecallResponse) {
        let whole = answer.degraded_reasons.is_empty()
            && answer
                .coverage
                .is_some_and(|coverage| coverage.fraction == 1.0);
        let ids: Vec<u64> = answer.candidates.iter().map(|found| found.id).collect();
        let mut spaces = lock(&self.spaces);
        let space = spaces
            .entry(answer.generation)
            .or_insert_with(|| answer.space.clone());
        let same_space = *space == answer.space;
        let mut answers = lock(&self.answers);
        let expected = answers
            .entry((user, answer.space))
            .or_insert_with(|| ids.clone());
        if !whole || !same_space || *expected != ids {
            self.mixed.fetch_add(1, Relaxed);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A user who saw three items, told with the call.
fn request(user: u64) -> RecallRequest {
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
        context: Some(UserContext {
            features: None,
            history: (0..).zip(items).map(event).collect(),
        }),
        page_size: 50,
        exclude: Some(Exclude::default()),
        options: Some(RecallOptions {
            reproducible: true,
            ..RecallOptions::default()
        }),
        ..RecallRequest::default()
    }
}
