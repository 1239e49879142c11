//! Behaviours of the estimate, against plain numbers.
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
    check(estimate.takes(together(1)), 1.0);
    check(estimate.takes(together(21)), 3.0);
    check(estimate.takes(together(64)), 7.3);
    let mut all = together(21);
    all += Load::of(2, true);
    check(estimate.takes(all), 5.0);
}

#[test]
fn nothing_is_predicted_before_the_first_measurement() {
    let estimate = Arc::new(Estimate::new(1, 64));
    estimate.queued(together(1_000));
    assert_eq!(estimate.wait(together(1)), None);
    assert_eq!(estimate.takes(together(64)), None);
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
    check(estimate.takes(together(64)), 1.0);
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
    check(estimate.takes(together(1)), 1.0);
}

#[test]
fn neither_a_user_nor_a_batch_costs_less_than_nothing() {
    let estimate = Estimate::new(1, 64);
    for (users, seconds) in [(1, 2), (10, 1), (1, 2), (10, 1)] {
        estimate.took(users, seconds * SECOND);
    }
    assert_eq!(estimate.takes(together(1)), estimate.takes(together(64)));
    let estimate = Estimate::new(1, 64);
    for (users, seconds) in [(10, 1), (64, 60), (10, 1), (64, 60)] {
        estimate.took(users, seconds * SECOND);
    }
    assert!(estimate.takes(together(1)) > Some(Duration::ZERO));
}
