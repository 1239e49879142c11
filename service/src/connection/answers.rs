//! The answers of a connection that are not sent yet, and until when they may be: a caller may leave no room for one (a window of 0), and
//! HTTP/2 then asks for no more of it, its deadline included.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Shared by a connection and its answers.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    open: Arc<Mutex<Open>>,
    grace: Duration,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    until: BTreeSet<(Instant, u64)>,
}

/// An answer that is not sent yet.
pub(crate) struct Answer {
    answers: Answers,
    key: (Instant, u64),
}

impl Answers {
    /// None yet; each may be on its way for `grace` after its deadline.
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            open: Arc::default(),
            grace,
        }
    }

    /// One more, which may take until `deadline`.
    pub(crate) fn begin(&self, deadline: Instant) -> Answer {
        let mut open = self.open();
        let key = (deadline, open.next);
        open.next += 1;
        open.until.insert(key);
        drop(open);
        Answer {
            answers: self.clone(),
            key,
        }
    }

    /// Whether one should have been sent long ago.
    pub(super) fn are_overdue(&self) -> bool {
        let open = self.open();
        let first = open.until.first();
        first.is_some_and(|(deadline, _)| deadline.elapsed() > self.grace)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.answers.open().until.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn an_answer_is_overdue_from_its_deadline_on_and_some_time_until_it_is_gone() {
        let grace = Duration::from_secs(5);
        let answers = Answers::new(grace);
        let now = Instant::now();
        let _in_time = answers.begin(now + Duration::from_secs(3600));
        assert!(!answers.are_overdue());
        let late = answers.begin(now.checked_sub(2 * grace).unwrap());
        let _late_too = answers.begin(now.checked_sub(Duration::from_secs(1)).unwrap());
        assert!(answers.are_overdue());
        drop(late);
        assert!(!answers.are_overdue());
    }
}
