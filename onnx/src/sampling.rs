//! Cuts users' sequences into training examples: windows whose every position is a target, or single samples with negatives.

pub(crate) mod negatives;
pub(crate) mod rows;
pub(crate) mod samples;
pub(crate) mod windows;

use encoder::features::{Event, User};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::dataset::Dataset;
use crate::dataset::split::{Sequence, Split};
use crate::model::attention::mix;
use crate::model::embed::Encoded;
use crate::model::trained::Trained;

/// The training part of every user, encoded.
#[derive(Clone, Debug)]
pub(crate) struct Training {
    /// In the order of the split's users.
    pub(crate) users: Vec<Encoded>,
}

impl Training {
    /// Encodes the training part of a split.
    pub(crate) fn new(model: &Trained, dataset: &Dataset, split: &Split) -> Self {
        let encode = |sequence: &Sequence| {
            let user = raw(dataset, split, sequence, sequence.training_len());
            model.encode(&user, usize::MAX)
        };
        Self {
            users: split.users.iter().map(encode).collect(),
        }
    }
}

/// A user as the servers would know it after the first `events` events, asking at the time of the one after them.
pub(crate) fn raw(dataset: &Dataset, split: &Split, sequence: &Sequence, events: usize) -> User {
    let record = &dataset.users[sequence.user as usize];
    let event = |at: usize| Event {
        item: dataset.items[split.items[sequence.items[at] as usize] as usize].id,
        kind: String::new(),
        value: sequence.values[at],
        time: sequence.times[at],
    };
    User {
        id: record.id.clone(),
        features: record.features.clone(),
        history: (0..events).map(event).collect(),
        time: sequence.times.get(events).copied(),
    }
}

/// What is drawn for one purpose at one place, whatever was drawn before: a resumed run draws the same.
pub(crate) fn draws(seed: u64, purpose: u64, place: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(mix(mix(seed ^ mix(purpose)) ^ place))
}
