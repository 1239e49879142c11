//! Single samples: a user's events before a position, and the event there as the positive.

use rand::seq::SliceRandom;

use crate::model::embed::Encoded;
use crate::sampling::negatives::Unwatched;
use crate::sampling::{Training, draws};

/// One position of one user's training part, never the first: there is a history before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Index among the users.
    pub(crate) user: u32,
    /// The positive's position.
    pub(crate) position: u32,
}

/// Every position of every user, shuffled; users who have watched everything are left out.
pub(crate) fn epoch(
    training: &Training,
    unwatched: &Unwatched,
    seed: u64,
    epoch: usize,
) -> Vec<Sample> {
    let of_user = |(user, sequence): (u32, &Encoded)| {
        let positions = if unwatched.any(user) {
            sequence.history.len() as u32
        } else {
            0
        };
        (1..positions).map(move |position| Sample { user, position })
    };
    let mut samples: Vec<Sample> = (0..).zip(&training.users).flat_map(of_user).collect();
    samples.shuffle(&mut draws(seed, 2, epoch as u64));
    samples
}
