//! How many calls a second one caller may make.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock as _, DefaultClock},
};

/// After so many checks, callers that were not seen of late are forgotten.
const FORGET: u32 = 4096;

/// A bucket of calls for each caller: as many as a second has may come at once.
pub(crate) struct Rate {
    most: NonZeroU32,
    callers: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
    checks: AtomicU32,
}

impl Rate {
    /// At most so many calls a second of each; none for 0.
    pub(crate) fn new(calls_per_second: u32) -> Option<Self> {
        let most = NonZeroU32::new(calls_per_second)?;
        Some(Self {
            most,
            callers: DefaultKeyedRateLimiter::keyed(Quota::per_second(most)),
            clock: DefaultClock::default(),
            checks: AtomicU32::new(0),
        })
    }

    /// The most calls of one caller in a second.
    pub(crate) fn most(&self) -> u32 {
        self.most.get()
    }

    /// Counts a call of `caller`.
    ///
    /// # Errors
    /// How long until the next is taken.
    pub(crate) fn check(&self, caller: &str) -> Result<(), Duration> {
        if self.checks.fetch_add(1, Relaxed) % FORGET == FORGET - 1 {
            self.callers.retain_recent();
        }
        let checked = self.callers.check_key(&caller.to_owned());
        checked.map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn one_caller_has_what_a_second_has_and_another_its_own() {
        let rate = Rate::new(3).unwrap();
        let taken = (0..100).filter(|_| rate.check("a").is_ok()).count();
        assert!((3..100).contains(&taken), "{taken}");
        assert!(rate.check("b").is_ok());
    }

    #[test]
    fn nothing_is_bounded_where_nothing_is_said() {
        assert!(Rate::new(0).is_none());
    }
}
