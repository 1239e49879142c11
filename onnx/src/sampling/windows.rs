//! Windows over the training part: every event is an input once an epoch, and the event after it the target.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::sampling::{Training, draws};

/// Consecutive input positions of one user: `start..end`; the targets are one further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Index among the users.
    pub(crate) user: u32,
    /// First input.
    pub(crate) start: u32,
    /// After the last input.
    pub(crate) end: u32,
}

impl Window {
    /// How many inputs, and so targets.
    pub(crate) fn len(self) -> usize {
        (self.end - self.start) as usize
    }
}

/// Cuts every sequence into windows of `length`, the first of them shorter by a random phase, and shuffles all.
pub(crate) fn epoch(training: &Training, length: usize, seed: u64, epoch: usize) -> Vec<Window> {
    let mut rng = draws(seed, 1, epoch as u64);
    let mut windows = Vec::new();
    for (user, sequence) in (0..).zip(&training.users) {
        let inputs = sequence.history.len().saturating_sub(1) as u32;
        let mut start = 0;
        let mut end = rng.random_range(1..=length as u32);
        while start < inputs {
            windows.push(Window {
                user,
                start,
                end: end.min(inputs),
            });
            (start, end) = (end, end + length as u32);
        }
    }
    windows.shuffle(&mut rng);
    windows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::embed::Encoded;
    use crate::model::history::History;

    fn training(lengths: &[usize]) -> Training {
        let user = |&length: &usize| {
            let ids = vec![2; length];
            Encoded {
                history: History {
                    items: ids.clone(),
                    values: ids.clone(),
                    gaps: ids,
                    ..History::default()
                },
                features: vec![],
            }
        };
        Training {
            users: lengths.iter().map(user).collect(),
        }
    }

    #[test]
    fn every_event_but_the_last_is_an_input_once_an_epoch() {
        let mut windows = epoch(&training(&[0, 1, 2, 23, 57]), 10, 1, 3);
        assert!(
            windows
                .iter()
                .all(|window| (1..=10).contains(&window.len()))
        );
        windows.sort_by_key(|window| (window.user, window.start));
        for (user, inputs) in [(2, 1), (3, 22), (4, 56)] {
            let of_user: Vec<_> = windows
                .iter()
                .filter(|window| window.user == user)
                .collect();
            assert_eq!(of_user[0].start, 0);
            assert!(of_user.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert_eq!(of_user[of_user.len() - 1].end, inputs);
        }
        assert!(windows.iter().all(|window| window.user >= 2));
    }

    #[test]
    fn an_epoch_is_the_same_again_and_another_one_differs() {
        let training = training(&[90, 80]);
        assert_eq!(epoch(&training, 10, 1, 3), epoch(&training, 10, 1, 3));
        assert_ne!(epoch(&training, 10, 1, 3), epoch(&training, 10, 1, 4));
    }
}
