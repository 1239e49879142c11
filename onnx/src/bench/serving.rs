//! CPU time of embedding one user in ONNX Runtime, from raw features to vectors, on one thread.

use std::{collections::HashMap, path::Path};

use encoder::{artifact::Artifact, features::User, session::UserEncoder};
use serde::{Deserialize, Serialize};

use crate::{
    dataset::{
        Dataset,
        split::{ItemSet, Split},
    },
    evaluate::{self, vectors::Vectors},
    train::cpu,
};

/// The batch sizes measured.
pub const BATCHES: [usize; 3] = [1, 8, 32];

/// Users embedded in turn: a multiple of every batch size.
const USERS: usize = 512;

/// CPU time of one user.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Serving {
    /// Users in a batch.
    pub batch: usize,
    /// Microseconds for one user, the median of the repeats.
    pub micros: f64,
    /// The quickest repeat.
    pub least: f64,
    /// The slowest repeat.
    pub most: f64,
}

/// How long to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Repeats, in alternation between what is compared.
    pub repeats: usize,
    /// CPU time of one repeat; the clock ticks in hundredths.
    pub cpu_seconds: f64,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            repeats: 5,
            cpu_seconds: 0.4,
        }
    }
}

/// An artifact's user tower and the users to embed.
pub(crate) struct Load {
    encoder: UserEncoder,
    users: Vec<User>,
}

impl Load {
    /// Opens a user tower for one thread; the users are spread evenly over the dataset, each with all events but the last.
    pub(crate) fn open(dir: &Path, dataset: &Dataset) -> Result<Self, evaluate::Error> {
        let artifact = Artifact::open(dir)?;
        Ok(Self {
            users: users(&artifact, dataset)?,
            encoder: UserEncoder::open(&artifact, 1)?,
        })
    }

    /// Measures every batch size in turn, as often as `effort` says.
    pub(crate) fn measure(&self, effort: Effort) -> Result<Vec<Serving>, evaluate::Error> {
        let mut samples: HashMap<usize, Vec<f64>> = HashMap::new();
        for _ in 0..effort.repeats {
            for batch in BATCHES {
                let sample = self.micros(batch, effort.cpu_seconds)?;
                samples.entry(batch).or_default().extend(sample);
            }
        }
        let serving = |batch: usize| {
            let [least, micros, most] = spread(samples.get(&batch)?)?;
            Some(Serving {
                batch,
                micros,
                least,
                most,
            })
        };
        Ok(BATCHES.into_iter().filter_map(serving).collect())
    }

    /// Embeds users for `cpu_seconds`, and returns the microseconds of one; nothing where the system does not tell.
    pub(crate) fn micros(
        &self,
        batch: usize,
        cpu_seconds: f64,
    ) -> Result<Option<f64>, evaluate::Error> {
        let start = cpu::seconds();
        let mut embedded = 0;
        loop {
            for users in self.users.chunks(batch) {
                self.encoder.encode(users)?;
                embedded += users.len();
            }
            match cpu::since(start) {
                None => return Ok(None),
                Some(taken) if taken >= cpu_seconds => {
                    return Ok(Some(taken * 1e6 / embedded as f64));
                }
                Some(_) => {}
            }
        }
    }
}

/// Least, median and most; nothing for no values.
pub(crate) fn spread(values: &[f64]) -> Option<[f64; 3]> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some([
        *sorted.first()?,
        *sorted.get(sorted.len() / 2)?,
        *sorted.last()?,
    ])
}

/// Users spread evenly over the dataset, each with all events but the last.
fn users(artifact: &Artifact, dataset: &Dataset) -> Result<Vec<User>, evaluate::Error> {
    let split = Split::new(dataset, ItemSet::R);
    let vectors = Vectors::open(artifact, dataset, &split)?;
    let chosen = (0..USERS).map(|rank| &split.users[rank * split.users.len() / USERS]);
    Ok(vectors.before_test(&chosen.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_between_the_least_and_the_most() {
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some([1.0, 2.0, 3.0]));
        assert_eq!(spread(&[]), None);
    }
}
