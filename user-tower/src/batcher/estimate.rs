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

    /// Returns how long one inference of `users` users takes; zero before the first measurement.
    pub(super) fn inference(&self, users: usize) -> Duration {
        let times = self.state().times;
        times.map_or(Duration::ZERO, |times| {
            Duration::from_secs_f64(times.inference(users))
        })
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
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn together(users: usize) -> Load {
        Load::of(users, false)
    }

    /// Two sessions, batches of 64; one user takes 1 s, each further one 0.1 s more.
    fn measured() -> Arc<Estimate> {
        let estimate = Arc::new(Estimate::new(2, 64));
        for users in [1, 11, 1, 11, 41] {
            estimate.took(users, SECOND + SECOND / 10 * (users as u32 - 1));
        }
        estimate
    }

    fn check(found: Option<Duration>, seconds: f64) {
        let found = found.unwrap().as_secs_f64();
        assert!((found - seconds).abs() < 1e-6, "{found} is not {seconds}");
    }

    #[test]
    fn a_batch_and_its_users_have_their_own_costs() {
        let estimate = measured();
        check(Some(estimate.inference(1)), 1.0);
        check(Some(estimate.inference(21)), 3.0);
        check(Some(estimate.inference(64)), 7.3);
    }

    #[test]
    fn nothing_is_predicted_before_the_first_measurement() {
        let estimate = Arc::new(Estimate::new(1, 64));
        estimate.queued(together(1_000));
        assert_eq!(estimate.wait(together(1)), None);
        assert_eq!(estimate.inference(64), Duration::ZERO);
    }

    #[test]
    fn nothing_is_predicted_for_a_call_with_nobody_ahead() {
        let estimate = measured();
        assert_eq!(estimate.wait(together(64)), None);
        estimate.queued(together(1));
        assert!(estimate.wait(together(64)).is_some());
        let running = estimate.run(together(1));
        assert!(estimate.wait(together(64)).is_some());
        drop(running);
        assert_eq!(estimate.wait(together(64)), None);
    }

    #[test]
    fn inferences_of_one_size_say_what_any_takes() {
        let estimate = Estimate::new(1, 64);
        for _ in 0..10 {
            estimate.took(1, SECOND);
        }
        check(Some(estimate.inference(64)), 1.0);
    }

    #[test]
    fn all_sessions_work_off_what_waits() {
        let estimate = measured();
        estimate.queued(together(20));
        // One inference of 21 users on a session that is free.
        check(estimate.wait(together(1)), 3.0);
        estimate.queued(together(44 + 128));
        // Four inferences of 64 users, two at once.
        check(estimate.wait(together(64)), 2.0 * 7.3);
    }

    #[test]
    fn while_all_sessions_run_the_first_of_them_must_end() {
        let estimate = measured();
        let mean = estimate.state().times.unwrap().seconds;
        estimate.queued(together(3));
        let _first = estimate.run(together(1));
        check(estimate.wait(together(1)), 1.2);
        let _second = estimate.run(together(1));
        check(estimate.wait(together(1)), 1.1 + mean);
    }

    #[test]
    fn users_that_run_alone_take_an_inference_each() {
        let estimate = measured();
        estimate.queued(Load::of(10, true));
        check(estimate.wait(together(1)), (10.0 + 1.0) / 2.0);
        // The ten of this call run one after the other, in one session.
        check(estimate.wait(Load::of(10, true)), 10.0);
    }

    #[test]
    fn what_was_measured_long_ago_is_forgotten() {
        let estimate = Estimate::new(1, 64);
        estimate.took(1, 1_000 * SECOND);
        for _ in 0..300 {
            estimate.took(1, SECOND);
            estimate.took(2, SECOND);
        }
        check(Some(estimate.inference(1)), 1.0);
    }

    #[test]
    fn neither_a_user_nor_a_batch_costs_less_than_nothing() {
        let estimate = Estimate::new(1, 64);
        for (users, seconds) in [(1, 2), (10, 1), (1, 2), (10, 1)] {
            estimate.took(users, seconds * SECOND);
        }
        assert_eq!(estimate.inference(1), estimate.inference(64));
        let estimate = Estimate::new(1, 64);
        for (users, seconds) in [(10, 1), (64, 60), (10, 1), (64, 60)] {
            estimate.took(users, seconds * SECOND);
        }
        assert!(estimate.inference(1) > Duration::ZERO);
    }
}
