//! Predicts how long users would wait for their vectors, by what inferences took before.
//!
//! An inference of `n` users takes `per_batch + per_user * n` seconds: the line of least squares through what was measured,
//! where each measurement counts a sixteenth less than the one after it. Users that wait run in the largest batches that
//! they make up, on all sessions; those that run alone take an inference each. So `n` users are done after
//! `n / (sessions * users per second of a session)`, at the least after one inference, and after what a session that runs
//! still needs, if none is free. Inferences of other models on the same sessions are not foreseen.

use std::{
    ops::{AddAssign, SubAssign},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How much the newest measurement counts.
const NEWEST: f64 = 1.0 / 16.0;

/// Who waits for one model, and how long its inferences take.
pub(super) struct Estimate {
    sessions: usize,
    max_batch: usize,
    state: Mutex<State>,
}

/// Users to embed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Users that share inferences.
    pub(super) together: usize,
    /// Users that take an inference each.
    pub(super) alone: usize,
}

/// A session that runs, until this is dropped.
pub(super) struct Running {
    estimate: Arc<Estimate>,
}

#[derive(Default)]
struct State {
    waiting: Load,
    running: usize,
    /// None before the first measurement.
    times: Option<Times>,
}

/// Weighted means of what was measured.
#[derive(Clone, Copy)]
struct Times {
    users: f64,
    seconds: f64,
    /// Of the users.
    variance: f64,
    /// Of the users and the seconds.
    covariance: f64,
}

impl Estimate {
    /// Of a model that runs in `sessions` sessions, `max_batch` users at once; both are at least 1.
    pub(super) fn new(sessions: usize, max_batch: usize) -> Self {
        Self {
            sessions,
            max_batch,
            state: Mutex::default(),
        }
    }

    /// Returns how long the users of one call would take if they came now.
    ///
    /// None before the first measurement, and where nobody is ahead of them: such a call could not be faster, and what it
    /// takes is measured anew, so that no wrong prediction keeps everybody out for good.
    pub(super) fn wait(&self, call: Load) -> Option<Duration> {
        let state = self.state();
        let times = state.times?;
        if state.waiting == Load::default() && state.running == 0 {
            return None;
        }
        let mut all = state.waiting;
        all += call;
        let batch = all.together.clamp(1, self.max_batch);
        let one = match call.alone {
            0 => times.inference(batch),
            alone => times.inference(1) * alone.min(self.max_batch) as f64,
        };
        let together = times.inference(batch) / batch as f64 * all.together as f64;
        let alone = times.inference(1) * all.alone as f64;
        let work = (together + alone) / self.sessions as f64;
        let until_free = match state.running < self.sessions {
            true => 0.0,
            false => times.seconds,
        };
        Some(Duration::from_secs_f64(work.max(one) + until_free))
    }

    /// Returns how long one session takes for users that are one batch; none before the first measurement.
    pub(super) fn takes(&self, users: Load) -> Option<Duration> {
        let times = self.state().times?;
        let together = match users.together {
            0 => 0.0,
            together => times.inference(together),
        };
        let alone = times.inference(1) * users.alone as f64;
        Some(Duration::from_secs_f64(together + alone))
    }

    /// Users begin to wait.
    pub(super) fn queued(&self, users: Load) {
        self.state().waiting += users;
    }

    /// Users that waited begin to run in one session.
    pub(super) fn run(self: &Arc<Self>, users: Load) -> Running {
        let mut state = self.state();
        state.waiting -= users;
        state.running += 1;
        Running {
            estimate: Arc::clone(self),
        }
    }

    /// Runs an inference of `users` users, and takes its time.
    pub(super) fn measure<T>(&self, users: usize, inference: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = inference();
        self.took(users, began.elapsed());
        result
    }

    /// An inference of `users` users took so long.
    pub(super) fn took(&self, users: usize, time: Duration) {
        let (users, seconds) = (users as f64, time.as_secs_f64());
        let times = &mut self.state().times;
        match times {
            Some(times) => times.add(users, seconds),
            None => {
                *times = Some(Times {
                    users,
                    seconds,
                    variance: 0.0,
                    covariance: 0.0,
                });
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Times {
    fn add(&mut self, users: f64, seconds: f64) {
        let (by_users, by_seconds) = (users - self.users, seconds - self.seconds);
        self.users += NEWEST * by_users;
        self.seconds += NEWEST * by_seconds;
        let decayed = |old: f64, new: f64| (1.0 - NEWEST) * (old + NEWEST * new);
        self.variance = decayed(self.variance, by_users * by_users);
        self.covariance = decayed(self.covariance, by_users * by_seconds);
    }

    /// Seconds of one inference of `users` users. While all had one size, that size says what any takes.
    fn inference(&self, users: usize) -> f64 {
        // Neither a user nor a batch costs less than nothing.
        let most = self.seconds / self.users;
        let slope = self.covariance / self.variance;
        let per_user = if slope > 0.0 { slope.min(most) } else { 0.0 };
        let per_batch = self.seconds - per_user * self.users;
        per_batch + per_user * users as f64
    }
}

impl Load {
    /// Users of one call, or of a part of one.
    pub(super) fn of(users: usize, alone: bool) -> Self {
        match alone {
            true => Self {
                together: 0,
                alone: users,
            },
            false => Self {
                together: users,
                alone: 0,
            },
        }
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, more: Self) {
        self.together += more.together;
        self.alone += more.alone;
    }
}

impl SubAssign for Load {
    fn sub_assign(&mut self, less: Self) {
        self.together -= less.together;
        self.alone -= less.alone;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.estimate.state().running -= 1;
    }
}

#[cfg(test)]
mod tests;
