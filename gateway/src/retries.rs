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

    /// Whether a call may be made once more that got no answer; if so it is counted.
    pub(crate) fn spend(&self) -> bool {
        self.spend_above(0)
    }

    /// Whether a call may be made once more that is only slow: not from the half that is kept for those without an answer.
    pub(crate) fn spend_on_hedge(&self) -> bool {
        self.spend_above(self.most / 2)
    }

    fn spend_above(&self, least: i64) -> bool {
        let spend = |left: i64| (left - CALL >= least).then_some(left - CALL);
        self.left.fetch_update(Relaxed, Relaxed, spend).is_ok()
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
    fn slow_calls_leave_half_for_those_without_an_answer() {
        let retries = Retries::new(0.05, 10);
        assert_eq!((0..100).filter(|_| retries.spend_on_hedge()).count(), 5);
        assert_eq!((0..100).filter(|_| retries.spend()).count(), 5);
    }

    #[test]
    fn what_is_not_spent_is_kept_up_to_the_burst() {
        let retries = Retries::new(0.5, 3);
        (0..100).for_each(|_| retries.earn());
        let spent = (0..100).filter(|_| retries.spend()).count();
        assert_eq!(spent, 3);
    }
}
