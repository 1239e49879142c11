//! Lets a candidate answer recalls, too, unseen by the caller, and compares its answers with those of the generation that serves.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{answer::Answer, error::Error};

/// How many recalls a candidate answers at once, unseen: the caller's go first.
const AT_ONCE: usize = 8;
/// How many recalls of late tell how long they take.
const TIMES: usize = 10_000;

/// What came of recalls that two generations answered.
#[derive(Debug)]
pub(crate) struct Shadow {
    room: Arc<Semaphore>,
    tally: Mutex<Tally>,
}

/// What is known of two generations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// The one that serves, and the candidate.
    pub(crate) generations: (String, String),
    /// Recalls that both answered.
    pub(crate) recalls: u64,
    /// Recalls that the candidate was to answer, and failed to.
    pub(crate) failed: u64,
    /// Recalls that it was not asked for, because too many were under way.
    pub(crate) skipped: u64,
    overlap: f64,
    drift: f64,
    /// Of the one that serves.
    pub(crate) serving: Figures,
    /// Of the candidate.
    pub(crate) candidate: Figures,
}

/// What the recalls of one generation took and covered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    times: VecDeque<Duration>,
    recalls: u64,
    coverage: f64,
    degraded: u64,
}

impl Shadow {
    pub(crate) fn new() -> Self {
        Self {
            room: Arc::new(Semaphore::new(AT_ONCE)),
            tally: Mutex::default(),
        }
    }

    /// Room for one more recall of two generations; none if too many are under way, which is counted. Others are counted anew.
    pub(crate) fn room(&self, serving: &str, candidate: &str) -> Option<OwnedSemaphorePermit> {
        let mut tally = self.tally();
        if !tally.is_of(serving, candidate) {
            *tally = Tally {
                generations: (serving.to_owned(), candidate.to_owned()),
                ..Tally::default()
            };
        }
        let room = self.room.clone().try_acquire_owned().ok();
        tally.skipped += u64::from(room.is_none());
        room
    }

    /// Notes that a recall was not asked of the candidate after all.
    pub(crate) fn skip(&self, serving: &str, candidate: &str) {
        let mut tally = self.tally();
        tally.skipped += u64::from(tally.is_of(serving, candidate));
    }

    /// Notes what both answered; nothing, if others are compared by now.
    pub(crate) fn note(&self, candidate: &str, serving: &Compared, answer: Result<Answer, Error>) {
        let mut tally = self.tally();
        if !tally.is_of(&serving.generation, candidate) {
            return;
        }
        let Ok(answer) = answer else {
            tally.failed += 1;
            return;
        };
        let answer = Compared::of(&answer);
        tally.recalls += 1;
        tally.overlap += serving.overlap(&answer);
        tally.drift += serving.drift(&answer);
        tally.serving.add(serving);
        tally.candidate.add(&answer);
    }

    /// What is known of the two generations; nothing, if others were compared.
    pub(crate) fn verdict(&self, serving: &str, candidate: &str) -> Tally {
        let tally = self.tally();
        match tally.is_of(serving, candidate) {
            true => tally.clone(),
            false => Tally::default(),
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is compared of an answer.
#[derive(Debug)]
pub(crate) struct Compared {
    /// The generation that answered.
    pub(crate) generation: String,
    ids: Vec<u64>,
    scores: Vec<f32>,
    time: Duration,
    coverage: f64,
    degraded: bool,
}

impl Compared {
    /// Takes what is compared out of an answer.
    pub(crate) fn of(answer: &Answer) -> Self {
        let hits = || answer.candidates.iter().map(|candidate| candidate.hit);
        Self {
            generation: answer.generation.clone(),
            ids: hits().map(|hit| hit.id).collect(),
            scores: hits().map(|hit| hit.score).collect(),
            time: answer.timings.total,
            coverage: answer.coverage.fraction(),
            degraded: !answer.degraded.is_empty(),
        }
    }

    /// The share of these candidates that the other answer has; 1 if there are none.
    fn overlap(&self, other: &Self) -> f64 {
        let others: HashSet<&u64> = other.ids.iter().collect();
        let same = self.ids.iter().filter(|id| others.contains(id)).count();
        match self.ids.len() {
            0 => 1.0,
            len => same as f64 / len as f64,
        }
    }

    /// How much higher the other's mean score is, in standard deviations of these; 0 where these do not differ.
    fn drift(&self, other: &Self) -> f64 {
        let (mean, deviation) = moments(&self.scores);
        match deviation > 0.0 && !other.scores.is_empty() {
            true => (moments(&other.scores).0 - mean) / deviation,
            false => 0.0,
        }
    }
}

impl Tally {
    fn is_of(&self, serving: &str, candidate: &str) -> bool {
        (self.generations.0.as_str(), self.generations.1.as_str()) == (serving, candidate)
    }

    /// The mean overlap.
    pub(crate) fn overlap(&self) -> f64 {
        self.overlap / self.recalls.max(1) as f64
    }

    /// The mean drift of scores.
    pub(crate) fn drift(&self) -> f64 {
        self.drift / self.recalls.max(1) as f64
    }
}

impl Figures {
    fn add(&mut self, answer: &Compared) {
        if self.times.len() == TIMES {
            self.times.pop_front();
        }
        self.times.push_back(answer.time);
        self.recalls += 1;
        self.coverage += answer.coverage;
        self.degraded += u64::from(answer.degraded);
    }

    /// The time that a share of the recalls took at most.
    pub(crate) fn time(&self, share: f64) -> Duration {
        let mut times: Vec<Duration> = self.times.iter().copied().collect();
        times.sort_unstable();
        let place = (share * times.len() as f64) as usize;
        times
            .get(place.min(times.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }

    /// The mean coverage.
    pub(crate) fn coverage(&self) -> f64 {
        self.coverage / self.recalls.max(1) as f64
    }

    /// The share that was degraded in some way.
    pub(crate) fn degraded(&self) -> f64 {
        self.degraded as f64 / self.recalls.max(1) as f64
    }
}

/// Mean and standard deviation.
fn moments(numbers: &[f32]) -> (f64, f64) {
    let count = numbers.len().max(1) as f64;
    let numbers = || numbers.iter().copied().map(f64::from);
    let mean = numbers().sum::<f64>() / count;
    let square = numbers().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    (mean, square.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(generation: &str, scores: &[(u64, f32)], millis: u64) -> Compared {
        Compared {
            generation: generation.to_owned(),
            ids: scores.iter().map(|(id, _)| *id).collect(),
            scores: scores.iter().map(|(_, score)| *score).collect(),
            time: Duration::from_millis(millis),
            coverage: 1.0,
            degraded: false,
        }
    }

    #[test]
    fn overlap_and_drift_are_of_the_same_recall() {
        let serving = compared("a", &[(1, 3.0), (2, 1.0)], 1);
        let candidate = compared("b", &[(2, 5.0), (3, 1.0)], 1);
        assert_eq!(serving.overlap(&candidate), 0.5);
        // The means are 2 and 3, the deviation is 1.
        assert_eq!(serving.drift(&candidate), 1.0);
        assert_eq!(compared("a", &[], 1).overlap(&candidate), 1.0);
    }

    #[test]
    fn times_are_told_by_the_share_of_recalls_that_took_no_longer() {
        let mut figures = Figures::default();
        for millis in 1..=200 {
            figures.add(&compared("a", &[], millis));
        }
        assert_eq!(figures.time(0.5), Duration::from_millis(101));
        assert_eq!(figures.time(0.99), Duration::from_millis(199));
        assert_eq!(Figures::default().time(0.5), Duration::ZERO);
    }

    #[test]
    fn another_candidate_begins_anew() {
        let shadow = Shadow::new();
        let serving = compared("a", &[], 1);
        let failed = || Err(Error::NoGeneration);
        drop(shadow.room("a", "b"));
        shadow.note("b", &serving, failed());
        assert_eq!(shadow.verdict("a", "c").failed, 0);
        assert_eq!(
            shadow.verdict("a", "b").failed,
            1,
            "asking for others changes nothing"
        );
        drop(shadow.room("a", "c"));
        shadow.note("b", &serving, failed());
        assert_eq!(
            shadow.verdict("a", "c").failed,
            0,
            "a late answer is of another trial"
        );
        assert_eq!(shadow.verdict("a", "b").failed, 0);
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let shadow = Shadow::new();
        let rooms: Vec<_> = (0..AT_ONCE).map(|_| shadow.room("a", "b")).collect();
        assert!(rooms.iter().all(Option::is_some));
        assert!(shadow.room("a", "b").is_none());
        assert_eq!(shadow.verdict("a", "b").skipped, 1);
    }
}
