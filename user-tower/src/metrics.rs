//! What a user tower measures beside its calls.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

/// So many users are embedded at once.
pub(crate) fn batch(users: usize) {
    histogram!("twotower_batch_users").record(users as f64);
}

/// So many writes wait for the next commit.
pub(crate) fn waiting(writes: usize) {
    gauge!("twotower_history_waiting").set(writes as f64);
}

/// A commit took so long.
pub(crate) fn committed(time: Duration) {
    histogram!("twotower_history_commit_seconds").record(time);
}

/// So many events are on disk that were not there before.
pub(crate) fn recorded(events: u64) {
    counter!("twotower_events_recorded_total").increment(events);
}

/// Something was looked for in `cache`.
pub(crate) fn looked(cache: &'static str, found: bool) {
    let outcome = if found { "hit" } else { "miss" };
    counter!("twotower_cache_requests_total", "cache" => cache, "outcome" => outcome).increment(1);
}
