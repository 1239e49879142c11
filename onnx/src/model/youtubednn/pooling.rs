//! What each event weighs in a pooling, by its age in events and the length of the history.

use crate::kernels::pool::Weights;
use crate::model::recipe::Pooling;

/// Weights below this part of the newest event's are none at all: they would be denormal numbers soon.
const LEAST: f32 = 1e-7;

/// The weights of poolings of histories of at most `length` events.
pub(crate) fn weights(poolings: &[Pooling], length: usize) -> Weights {
    let by_age = |pooling: &Pooling| (0..length).map(|age| by_age(*pooling, age)).collect();
    let by_length = |pooling: &Pooling| {
        let by_length = |events| by_length(*pooling, events);
        (0..=length).map(by_length).collect()
    };
    Weights {
        by_age: poolings.iter().map(by_age).collect(),
        by_length: poolings.iter().map(by_length).collect(),
    }
}

fn by_age(pooling: Pooling, age: usize) -> f32 {
    let at = |place: usize| f32::from(u8::from(age == place));
    match pooling {
        Pooling::Sum | Pooling::Mean => 1.0,
        Pooling::Decay(factor) => match factor.powi(age as i32) {
            weight if weight < LEAST => 0.0,
            weight => weight,
        },
        Pooling::Last => at(0),
        Pooling::Newest(place) => at(place - 1),
    }
}

/// What the sum over a history of `events` is multiplied by.
fn by_length(pooling: Pooling, events: usize) -> f32 {
    match pooling {
        Pooling::Sum | Pooling::Last | Pooling::Newest(_) => 1.0,
        Pooling::Mean | Pooling::Decay(_) if events == 0 => 0.0,
        Pooling::Mean | Pooling::Decay(_) => {
            1.0 / (0..events).map(|age| by_age(pooling, age)).sum::<f32>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The weights of a history of `events` events, oldest first.
    fn check(pooling: Pooling, events: usize, expected: &[f32]) {
        let weights = weights(&[pooling], 4);
        let of = |age| weights.by_age[0][age] * weights.by_length[0][events];
        let found: Vec<f32> = (0..events).rev().map(of).collect();
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-6),
            "{found:?}"
        );
    }

    #[test]
    fn a_mean_is_over_the_events_that_are_left_after_the_cut() {
        check(Pooling::Mean, 4, &[0.25; 4]);
        check(Pooling::Mean, 2, &[0.5; 2]);
    }

    #[test]
    fn a_sum_is_no_mean() {
        check(Pooling::Sum, 3, &[1.0; 3]);
    }

    #[test]
    fn a_decayed_mean_favours_the_newest_and_its_weights_add_up_to_one() {
        check(Pooling::Decay(0.5), 3, &[1.0 / 7.0, 2.0 / 7.0, 4.0 / 7.0]);
        check(Pooling::Decay(0.5), 1, &[1.0]);
    }

    #[test]
    fn the_last_is_the_newest_and_a_place_counts_from_it() {
        check(Pooling::Last, 3, &[0.0, 0.0, 1.0]);
        check(Pooling::Newest(1), 3, &[0.0, 0.0, 1.0]);
        check(Pooling::Newest(3), 3, &[1.0, 0.0, 0.0]);
        check(Pooling::Newest(3), 2, &[0.0, 0.0]);
    }

    #[test]
    fn no_weight_is_denormal() {
        let weights = weights(&[Pooling::Decay(0.5)], 200);
        assert!(weights.by_age[0].iter().all(|&x| x == 0.0 || x > 1e-8));
        assert_eq!(weights.by_age[0][199], 0.0);
    }
}
