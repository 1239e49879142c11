//! How long calls of one kind take: a quantile of those of late.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Buckets to each doubling of the time, so that a quantile is at most a fourth too long.
const STEPS: u32 = 4;
/// Times up to 2^32 microseconds are told apart.
const BUCKETS: usize = 32 * STEPS as usize;
/// After so many calls the quantile is found anew, and what came before counts half.
const FIND_EVERY: u32 = 256;

/// Times of calls, with a quantile of them.
#[derive(Debug)]
pub(crate) struct Pace {
    share: f64,
    buckets: [AtomicU32; BUCKETS],
    calls: AtomicU32,
    /// In microseconds; 0 as long as too few calls were made.
    quantile_us: AtomicU64,
}

impl Pace {
    /// Watches for the time that the share `share` of the calls stays below.
    pub(crate) fn new(share: f64) -> Self {
        Self {
            share,
            buckets: [const { AtomicU32::new(0) }; BUCKETS],
            calls: AtomicU32::new(0),
            quantile_us: AtomicU64::new(0),
        }
    }

    /// Notes how long a call took.
    pub(crate) fn record(&self, time: Duration) {
        self.buckets[bucket(time)].fetch_add(1, Relaxed);
        if (self.calls.fetch_add(1, Relaxed) + 1).is_multiple_of(FIND_EVERY) {
            self.find();
        }
    }

    /// The quantile; none as long as too few calls were made.
    pub(crate) fn quantile(&self) -> Option<Duration> {
        let found = self.quantile_us.load(Relaxed);
        (found > 0).then(|| Duration::from_micros(found))
    }

    fn find(&self) {
        let counts = self.buckets.iter().map(|count| count.load(Relaxed));
        let counts: Vec<_> = counts.collect();
        let wanted = f64::from(counts.iter().sum::<u32>()) * self.share;
        let mut sum = 0.0;
        let found = counts.iter().position(|count| {
            sum += f64::from(*count);
            sum >= wanted
        });
        let found = found.unwrap_or(BUCKETS - 1);
        self.quantile_us.store(end(found), Relaxed);
        for (count, seen) in self.buckets.iter().zip(counts) {
            // Of two that find at once, both would take away the same; and one call must not count for ever.
            let halve = |now: u32| Some(now.saturating_sub(seen.div_ceil(2)));
            let _ = count.fetch_update(Relaxed, Relaxed, halve);
        }
    }
}

/// The bucket of a time: where its first bit stands, then the two after it.
fn bucket(time: Duration) -> usize {
    let micros = (time.as_micros() as u64).max(STEPS.into());
    let doublings = micros.ilog2();
    let step = (micros >> (doublings - STEPS.ilog2())) as u32 - STEPS;
    ((doublings * STEPS + step) as usize).min(BUCKETS - 1)
}

/// The microseconds at which a bucket ends.
fn end(bucket: usize) -> u64 {
    let (doublings, step) = (bucket as u32 / STEPS, bucket as u32 % STEPS);
    (u64::from(STEPS + step + 1) << doublings) / u64::from(STEPS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_ends_after_its_times_and_at_most_a_fourth_later(micros in 4u64..1 << 31) {
            let end = end(bucket(Duration::from_micros(micros)));
            prop_assert!(end > micros && end as f64 <= 1.25 * micros as f64 + 1.0, "{micros} {end}");
        }
    }

    #[test]
    fn the_quantile_is_that_of_the_calls_of_late() {
        let pace = Pace::new(0.95);
        assert_eq!(pace.quantile(), None);
        let calls = |every: u64, slow: u64, usual: u64| {
            for call in 0..u64::from(8 * FIND_EVERY) {
                let millis = if call % every == 0 { slow } else { usual };
                pace.record(Duration::from_millis(millis));
            }
            pace.quantile().map(|found| found.as_millis())
        };
        assert!(calls(100, 500, 2).is_some_and(|found| (2..=3).contains(&found)));
        assert!(calls(10, 500, 2).is_some_and(|found| (500..=625).contains(&found)));
        assert!(calls(100, 500, 8).is_some_and(|found| (8..=10).contains(&found)));
    }
}
