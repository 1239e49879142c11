//! Callers that embed stored users.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use proto::v1::{EmbedUsersRequest, UserQuery, user_tower_service_client::UserTowerServiceClient};
use tokio::time::{MissedTickBehavior, interval};
use tonic::transport::Channel;

/// One user's embedding.
pub(crate) fn request(user: &str) -> EmbedUsersRequest {
    EmbedUsersRequest {
        users: vec![UserQuery {
            user_id: user.to_owned(),
            ..UserQuery::default()
        }],
        ..EmbedUsersRequest::default()
    }
}

/// Embeds `calls` users, `callers` at a time, each as soon as the one before is answered.
pub(crate) async fn closed(
    channel: &Channel,
    users: &Arc<Vec<String>>,
    callers: usize,
    calls: usize,
) -> anyhow::Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (next, users) = (Arc::clone(&next), Arc::clone(users));
            let mut client = UserTowerServiceClient::new(channel.clone());
            tokio::spawn(async move {
                loop {
                    let call = next.fetch_add(1, Ordering::Relaxed);
                    if call >= calls {
                        return Ok::<_, tonic::Status>(());
                    }
                    client
                        .embed_users(request(&users[call % users.len()]))
                        .await?;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// How long each of the calls took that are begun `every` so often for as long as `time`, however long the others take, and how
/// many failed.
pub(crate) async fn open(
    channel: &Channel,
    users: &Arc<Vec<String>>,
    every: Duration,
    time: Duration,
) -> anyhow::Result<(Vec<f64>, usize)> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let begun = Instant::now();
    let mut tasks = Vec::new();
    while begun.elapsed() < time {
        // A tick that comes late is charged to its call.
        let due = ticks.tick().await;
        let user = request(&users[tasks.len() % users.len()]);
        let mut client = UserTowerServiceClient::new(channel.clone());
        tasks.push(tokio::spawn(async move {
            let answer = client.embed_users(user).await;
            (due.elapsed(), answer.is_ok())
        }));
    }
    let (mut millis, mut failed) = (Vec::new(), 0);
    for task in tasks {
        let (took, answered) = task.await?;
        millis.push(took.as_secs_f64() * 1e3);
        failed += usize::from(!answered);
    }
    Ok((millis, failed))
}

/// The value that 99 of 100 do not exceed.
pub(crate) fn p99(mut millis: Vec<f64>) -> f64 {
    millis.sort_by(f64::total_cmp);
    let at = (millis.len() * 99).div_ceil(100).saturating_sub(1);
    millis.get(at).copied().unwrap_or(f64::NAN)
}
