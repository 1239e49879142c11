//! Removes what is older than histories are kept.

use std::{convert::Infallible, time::Duration};

use tracing::{error, info};

use crate::{
    error::Error,
    history::{HistoryStore, Removal, Removed, UserCopy},
    sweep, user,
};

/// How often all users are looked at: as often as the age has such parts, within bounds.
const PARTS: u32 = 24;
const BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));

/// Removes for good, now and again, events whose time is further back than `max_age`, and items of which the last event
/// arrived before that. An age of zero keeps everything.
pub(crate) async fn follow(history: &dyn HistoryStore, max_age: Duration) -> Infallible {
    if max_age.is_zero() {
        std::future::pending::<()>().await;
    }
    loop {
        let age = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
        let before = user::now().saturating_sub(age);
        match shorten(history, before).await {
            Ok(Removed { users: 0, .. }) => {}
            Ok(removed) => info!(
                users = removed.users,
                events = removed.events,
                seen_items = removed.seen,
                "histories shortened to their greatest age"
            ),
            Err(cause) => error!(%cause, "histories could not be shortened"),
        }
        tokio::time::sleep((max_age / PARTS).clamp(BOUNDS.0, BOUNDS.1)).await;
    }
}

/// Removes what is of before the time `before`, in seconds since the epoch.
pub(crate) async fn shorten(history: &dyn HistoryStore, before: i64) -> Result<Removed, Error> {
    let (time, arrived) = (before, before.max(0) as u64 * 1_000_000);
    let is_old = |user: &UserCopy| {
        user.events.iter().any(|(event, _)| event.time < time)
            || user.seen.iter().any(|(_, at)| *at < arrived)
    };
    let removal = Removal::Older { time, arrived };
    sweep::remove(history, |_| true, is_old, removal, || Ok(())).await
}
