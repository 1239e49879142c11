//! Removes what is older than histories are kept.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tracing::{error, info};

use crate::{
    error::Error,
    history::{HistoryStore, Removal, Removed, Selection, UserCopy, Write},
    user,
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
        match sweep(history, before).await {
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

/// Removes what is of before the time `before`, in seconds since the epoch, page by page.
pub(crate) async fn sweep(history: &dyn HistoryStore, before: i64) -> Result<Removed, Error> {
    let removal = Removal::Older {
        time: before,
        arrived: before.max(0) as u64 * 1_000_000,
    };
    let is_old = |user: &UserCopy| {
        let Removal::Older { time, arrived } = removal else {
            return false;
        };
        user.events.iter().any(|(event, _)| event.time < time)
            || user.seen.iter().any(|(_, at)| *at < arrived)
    };
    remove(history, |_| true, is_old, removal).await
}

/// Removes of every user whom `wanted` names, and of whom `is_due` says so.
pub(crate) async fn remove(
    history: &dyn HistoryStore,
    wanted: impl Fn(&str) -> bool + Send + Sync + 'static,
    is_due: impl Fn(&UserCopy) -> bool,
    removal: Removal,
) -> Result<Removed, Error> {
    let mut removed = Removed::default();
    let mut selection = Selection {
        after: String::new(),
        arrived_after: 0,
        wanted: Arc::new(wanted),
    };
    loop {
        let page = history.page(selection.clone()).await?;
        let due = page.users.into_iter().filter(&is_due);
        let removals: Vec<_> = due.map(|user| (user.user, removal)).collect();
        if !removals.is_empty() {
            let write = Write {
                removals,
                ..Write::default()
            };
            removed.add(history.write_patiently(write).await?.removed);
        }
        match page.next {
            Some(next) => selection.after = next,
            None => return Ok(removed),
        }
    }
}
