//! Whether a member is given work: none after failures in a row, none again for a while, then little by little.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

/// After so many failures in a row a member is left out.
pub(super) const FAILURES: u32 = 3;
/// For how long at least, at first and at most; each time is twice as long as the last, unless that was long ago.
const OUT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));
/// How long it takes from the first call of a member to its full share.
const WARMING: Duration = Duration::from_secs(3);
/// By how much calls to a member seem to cost more when it begins.
const BURDEN: f64 = 9.0;

/// How a member did lately.
#[derive(Debug)]
pub(super) struct Standing {
    failures: AtomicU32,
    out: AtomicBool,
    warming: AtomicBool,
    times: Mutex<Times>,
}

#[derive(Debug)]
struct Times {
    /// When it was last given work again.
    began: Instant,
    /// Until when it is left out, whatever it answers.
    until: Instant,
    /// For how long it was left out last.
    wait: Duration,
}

impl Standing {
    /// A member that begins.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            failures: AtomicU32::new(0),
            out: AtomicBool::new(false),
            warming: AtomicBool::new(true),
            times: Mutex::new(Times {
                began: now,
                until: now,
                wait: Duration::ZERO,
            }),
        }
    }

    /// Notes that the member begins to serve, or does again: what it gets grows from here.
    pub(super) fn begin(&self) {
        self.times().began = Instant::now();
        self.warming.store(true, Relaxed);
    }

    /// Notes an answer; a member that was left out for long enough is given work again.
    pub(super) fn answered(&self) {
        if self.failures.load(Relaxed) == 0 && !self.is_out() {
            return;
        }
        self.failures.store(0, Relaxed);
        let mut times = self.times();
        let now = Instant::now();
        if self.is_out() && now >= times.until {
            times.began = now;
            self.warming.store(true, Relaxed);
            self.out.store(false, Relaxed);
        }
    }

    /// Notes a call without an answer.
    pub(super) fn failed(&self) {
        if self.failures.fetch_add(1, Relaxed) + 1 < FAILURES || self.out.swap(true, Relaxed) {
            return;
        }
        let (first, most) = OUT;
        let mut times = self.times();
        let now = Instant::now();
        times.wait = match now - times.began < 2 * most {
            true => (times.wait * 2).clamp(first, most),
            false => first,
        };
        times.until = now + times.wait;
    }

    /// Whether it is left out.
    pub(super) fn is_out(&self) -> bool {
        self.out.load(Relaxed)
    }

    /// How many times as much a call seems to cost as it will: more than 1 as long as the member begins.
    pub(super) fn burden(&self) -> f64 {
        if !self.warming.load(Relaxed) {
            return 1.0;
        }
        let since = self.times().began.elapsed();
        if since >= WARMING {
            self.warming.store(false, Relaxed);
            return 1.0;
        }
        1.0 + BURDEN * (1.0 - since.div_duration_f64(WARMING))
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn fail(standing: &Standing) {
        for _ in 0..FAILURES {
            standing.failed();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_leave_a_member_out_and_others_do_not() {
        let standing = Standing::new();
        for _ in 0..10 {
            standing.failed();
            standing.failed();
            assert!(!standing.is_out());
            standing.answered();
        }
        fail(&standing);
        assert!(standing.is_out());
    }

    #[tokio::test(start_paused = true)]
    async fn each_time_it_is_left_out_for_longer_until_it_did_well_for_long() {
        let standing = Standing::new();
        let (first, most) = OUT;
        let mut out = first;
        for _ in 0..8 {
            fail(&standing);
            advance(out - Duration::from_millis(1)).await;
            standing.answered();
            assert!(standing.is_out(), "before {out:?}");
            advance(Duration::from_millis(1)).await;
            standing.answered();
            assert!(!standing.is_out(), "after {out:?}");
            out = (out * 2).min(most);
        }
        advance(2 * most).await;
        fail(&standing);
        advance(first).await;
        standing.answered();
        assert!(!standing.is_out());
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_begins_gets_its_full_share_little_by_little() {
        let standing = Standing::new();
        let mut burden = standing.burden();
        assert_eq!(burden, 1.0 + BURDEN);
        for _ in 0..6 {
            advance(WARMING / 6).await;
            assert!(standing.burden() < burden);
            burden = standing.burden();
        }
        assert_eq!(burden, 1.0);
        fail(&standing);
        advance(OUT.0).await;
        standing.answered();
        assert_eq!(standing.burden(), 1.0 + BURDEN);
    }
}
