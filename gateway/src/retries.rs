//! How many calls may be made once more: a share of those that are made anyway.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// One call, as it is counted.
const CALL: i64 = 1_000_000;

/// The budget of retries and hedges.
#[derive(Debug)]
pub(crate) struct Retries {
    earned: i64,
    most: i64,
    left: AtomicI64,
}

impl Retries {
    /// Each call earns the share `share` of a retry; at most `burst` of them are kept, and so many there are at first.
    pub(crate) fn new(share: f64, burst: u32) -> Self {
        let most = i64::from(burst) * CALL;
        Self {
            earned: (share * CALL as f64) as i64,
            most,
            left: AtomicI64::new(most),
        }
    }

    /// Notes a call that is no retry.
    pub(crate) fn earn(&self) {
        if self.left.load(Relaxed) < self.most {
            self.left.fetch_add(self.earned, Relaxed);
        }
    }

    /// Whether a call may be made once more; if so it is counted.
    pub(crate) fn spend(&self) -> bool {
        let spent = self.left.fetch_sub(CALL, Relaxed) >= CALL;
        if !spent {
            self.left.fetch_add(CALL, Relaxed);
        }
        spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_calls_are_made_again_for_their_share_and_no_more() {
        let retries = Retries::new(0.05, 10);
        let again = (0..10_000).filter(|_| {
            retries.earn();
            retries.spend()
        });
        let again = again.count();
        assert!((500..=511).contains(&again), "{again}");
        assert!(!retries.spend());
    }

    #[test]
    fn what_is_not_spent_is_kept_up_to_the_burst() {
        let retries = Retries::new(0.5, 3);
        (0..100).for_each(|_| retries.earn());
        let spent = (0..100).filter(|_| retries.spend()).count();
        assert_eq!(spent, 3);
    }
}
