//! How many events are durable in a second, and what users take.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use proto::v1::{
    Event, ItemRef, RecordEventsRequest, event_service_client::EventServiceClient, item_ref::Name,
};
use tonic::transport::Channel;

use crate::{Figure, Options, process::Process, site::user_tower, size, usage};

/// Callers at once.
const CALLERS: usize = 32;
/// How long events are recorded.
const TIME: Duration = Duration::from_secs(10);

/// Records, imports, and fills a store with users.
pub(crate) async fn measure(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let start = |name: &str| user_tower(&path("store"), &path(name), &[]);

    let server = start("single.redb")?;
    let single = record(&server, 1).await?;
    drop(server);
    let server = start("batched.redb")?;
    let batched = record(&server, 100).await?;
    drop(server);

    let server = start("import.redb")?;
    let begun = Instant::now();
    let bar = ProgressBar::hidden();
    let imported = user_tower::import::import(&options.import, &server.uri, &bar).await?;
    let import = imported.recorded as f64 / begun.elapsed().as_secs_f64();
    drop(server);
    let bytes = size(&path("import.redb"))? / imported.profiles.max(1) as f64;

    let server = start("distinct.redb")?;
    let channel = server.channel().await?;
    let begun = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let last = options.distinct;
    let writers = (0..CALLERS).map(|_| {
        let (next, channel) = (Arc::clone(&next), channel.clone());
        tokio::spawn(async move {
            let mut client = EventServiceClient::new(channel);
            loop {
                let from = next.fetch_add(1_000, Ordering::Relaxed);
                if from >= last {
                    return Ok::<_, tonic::Status>(());
                }
                let users = from..last.min(from + 1_000);
                let events = users.map(|user| event(format!("user-{user}"), user as i64 + 1));
                send(&mut client, events.collect()).await?;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await??;
    }
    let distinct = last as f64 / begun.elapsed().as_secs_f64();
    let memory = usage::memory(&server.pid())? as f64 / (1 << 20) as f64;
    drop(server);
    let bytes_single = size(&path("distinct.redb"))? / last as f64;
    Ok(vec![
        ("events_per_s", batched, "1/s", ">= 20000"),
        ("events_per_s_one_a_call", single, "1/s", ""),
        ("import_events_per_s", import, "1/s", ">= 16667"),
        ("bytes_a_user_imported", bytes, "B", ""),
        ("distinct_users", last as f64, "1", ""),
        ("distinct_users_per_s", distinct, "1/s", ""),
        (
            "distinct_users_memory_mib",
            memory,
            "MiB",
            "<= 384: the two caches, and the process",
        ),
        ("bytes_a_user_of_one_event", bytes_single, "B", ""),
    ])
}

/// Events per second of callers that record `each` events a call, all of them durable.
async fn record(server: &Process, each: u64) -> anyhow::Result<f64> {
    let channel = server.channel().await?;
    let begun = Instant::now();
    let callers = (0..CALLERS).map(|caller| {
        let channel: Channel = channel.clone();
        tokio::spawn(async move {
            let mut client = EventServiceClient::new(channel);
            let mut recorded = 0;
            while begun.elapsed() < TIME {
                let events = (0..each).map(|n| {
                    let number = recorded + n;
                    event(format!("{caller}-{}", number % 500), number as i64 + 1)
                });
                send(&mut client, events.collect()).await?;
                recorded += each;
            }
            Ok::<_, tonic::Status>(recorded)
        })
    });
    let mut recorded = 0;
    for caller in callers.collect::<Vec<_>>() {
        recorded += caller.await??;
    }
    Ok(recorded as f64 / begun.elapsed().as_secs_f64())
}

async fn send(
    client: &mut EventServiceClient<Channel>,
    events: Vec<Event>,
) -> Result<(), tonic::Status> {
    let request = RecordEventsRequest {
        events,
        members_epoch: 0,
    };
    client.record_events(request).await?;
    Ok(())
}

fn event(user_id: String, time: i64) -> Event {
    Event {
        user_id,
        item: Some(ItemRef {
            name: Some(Name::Id(1 + time as u64 % 3_700)),
        }),
        r#type: "rating".to_owned(),
        value: 4.0,
        time,
        event_id: format!("{time:020}"),
    }
}
