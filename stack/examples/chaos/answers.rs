//! What callers saw: who failed, whose answer was not whole, and whose was of two generations.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use proto::v1::RecallResponse;
use tonic::{Code, Status};

/// Counts over the answers to many recalls.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    calls: AtomicU64,
    failed: AtomicU64,
    partial: AtomicU64,
    mixed: AtomicU64,
    /// The whole answer to each user in each space.
    answers: Mutex<HashMap<(u64, String), Vec<u64>>>,
    /// The space of each generation.
    spaces: Mutex<HashMap<String, String>>,
    /// How often which status came, and which reasons an answer that is not whole had.
    words: Mutex<BTreeMap<String, u64>>,
}

/// How one recall ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// With all that was to be had.
    Whole,
    /// With an answer that says what it lacks: this share was searched.
    Partial(f64),
    /// With RESOURCE_EXHAUSTED.
    Shed,
    /// With another error.
    Failed(Code),
}

impl Outcome {
    /// Whether there was an answer, whole or not.
    pub(crate) fn is_answer(self) -> bool {
        matches!(self, Self::Whole | Self::Partial(_))
    }
}

impl Seen {
    /// Counts one answer.
    ///
    /// It is mixed if its generation had another space before, or if it is whole and differs from what the same user got in
    /// that space.
    pub(crate) fn take(&self, user: u64, answer: &Result<RecallResponse, Status>) -> Outcome {
        self.calls.fetch_add(1, Relaxed);
        let answer = match answer {
            Ok(answer) => answer,
            Err(status) => {
                self.failed.fetch_add(1, Relaxed);
                self.say(format!("{:?}: {}", status.code(), status.message()));
                return match status.code() {
                    Code::ResourceExhausted => Outcome::Shed,
                    code => Outcome::Failed(code),
                };
            }
        };
        let mut spaces = lock(&self.spaces);
        let space = spaces
            .entry(answer.generation.clone())
            .or_insert_with(|| answer.space.clone());
        let same_space = *space == answer.space;
        drop(spaces);

        let share = answer.coverage.map_or(0.0, |coverage| coverage.fraction);
        let whole = answer.degraded_reasons.is_empty() && share == 1.0;
        let same_answer = !whole || self.is_known(user, answer);
        if !same_space || !same_answer {
            self.mixed.fetch_add(1, Relaxed);
            self.say(format!("mixed: generation {}", answer.generation));
        }
        if whole {
            return Outcome::Whole;
        }
        self.partial.fetch_add(1, Relaxed);
        let reasons: Vec<_> = answer.degraded_reasons().collect();
        self.say(format!("coverage {share:.2}: {reasons:?}"));
        Outcome::Partial(share)
    }

    /// Whether the answer is what the user got before in that space, or the first.
    fn is_known(&self, user: u64, answer: &RecallResponse) -> bool {
        let ids: Vec<u64> = answer.candidates.iter().map(|found| found.id).collect();
        let mut answers = lock(&self.answers);
        let before = answers
            .entry((user, answer.space.clone()))
            .or_insert_with(|| ids.clone());
        *before == ids
    }

    fn say(&self, what: String) {
        *lock(&self.words).entry(what).or_default() += 1;
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// Answers that said what they lack.
    pub(crate) fn partial(&self) -> u64 {
        self.partial.load(Relaxed)
    }

    pub(crate) fn mixed(&self) -> u64 {
        self.mixed.load(Relaxed)
    }

    /// Prints what was not whole, the most frequent first.
    pub(crate) fn print(&self) {
        let words = lock(&self.words);
        let mut words: Vec<_> = words.iter().collect();
        words.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (what, count) in words.into_iter().take(8) {
            println!("  {count:>8} {what}");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
