//! The YouTubeDNN tower's objective: one positive at the end of a history, against drawn negatives or the whole catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::kernels::bag::Bags;
use crate::kernels::full_softmax::{Watched, full_softmax};
use crate::kernels::sampled_softmax::sampled_softmax;
use crate::kernels::tape::Tape;
use crate::loss::{Objective, Step};
use crate::model::attention::Drops;
use crate::model::history::History;
use crate::model::recipe::{Loss, YouTubeDnn};
use crate::model::trained::Trained;
use crate::model::vocabulary::RESERVED;
use crate::model::{Parameters, parameter, youtubednn};
use crate::sampling::negatives::Unwatched;
use crate::sampling::rows::Rows;
use crate::sampling::samples::{self, Sample};
use crate::sampling::{Training, draws};

/// Samples of the training part. Only the rows that a step names are copied, differentiated and moved.
pub(crate) struct SingleSample {
    tower: YouTubeDnn,
    length: usize,
    shards: usize,
    seed: u64,
    loss: Loss,
    training: Training,
    unwatched: Unwatched,
    sequences: Arc<Vec<Vec<u32>>>,
    items: Rows,
    features: Vec<Rows>,
}

/// The samples of one shard.
pub(crate) struct Part {
    users: youtubednn::Users,
    targets: Targets,
    scale: f32,
}

enum Targets {
    /// For each sample the positive and the negatives, rows of the step's stand-in.
    Sampled(Arc<[u32]>),
    /// For each sample the positive, a row of the whole table.
    Full(Vec<u32>, Watched),
}

impl SingleSample {
    /// The objective of a model of this tower.
    pub(crate) fn new(model: &Trained, tower: &YouTubeDnn, training: Training) -> Self {
        let sequences: Vec<_> = training
            .users
            .iter()
            .map(|user| user.history.items.clone())
            .collect();
        let items = model.items_vocabulary().len();
        let feature = |name: &String| Rows::new(model.vocabularies[&format!("user.{name}")].len());
        Self {
            tower: tower.clone(),
            length: model.recipe.history,
            shards: model.recipe.training.shards,
            seed: model.recipe.training.seed,
            loss: model.recipe.training.loss,
            unwatched: Unwatched::new(sequences.iter().cloned(), items),
            sequences: Arc::new(sequences),
            items: Rows::new(items),
            features: tower.user_features.iter().map(feature).collect(),
            training,
        }
    }

    fn part(&mut self, samples: &[Sample], scale: f32, number: u64, shard: u64) -> Part {
        let mut rng = draws(self.seed, 3, number << 8 | shard);
        let mut features = vec![Vec::with_capacity(samples.len()); self.features.len()];
        let (mut history, mut ends) = (Vec::new(), Vec::new());
        let mut targets = Vec::new();
        for sample in samples {
            let user = &self.training.users[sample.user as usize];
            let position = sample.position as usize;
            for ((ids, rows), &id) in features
                .iter_mut()
                .zip(&mut self.features)
                .zip(&user.features)
            {
                ids.push(rows.number(id));
            }
            let window = &user.history.items[History::window(position, self.length)];
            let positive = user.history.items[position];
            match self.loss {
                Loss::Sampled { negatives } => {
                    history.extend(window.iter().map(|&item| self.items.number(item)));
                    targets.push(self.items.number(positive));
                    for _ in 0..negatives {
                        targets.push(
                            self.items
                                .number(self.unwatched.draw(sample.user, &mut rng)),
                        );
                    }
                }
                Loss::Full => {
                    history.extend(window);
                    targets.push(positive);
                }
            }
            ends.push(history.len() as u32);
        }
        let targets = match self.loss {
            Loss::Sampled { .. } => Targets::Sampled(targets.into()),
            Loss::Full => {
                let rows = samples
                    .iter()
                    .map(|sample| (sample.user, sample.position))
                    .collect();
                Targets::Full(
                    targets,
                    Watched {
                        sequences: self.sequences.clone(),
                        rows,
                    },
                )
            }
        };
        let features = features.into_iter().map(Bags::single).collect();
        Part {
            users: youtubednn::Users {
                features,
                history: Bags::ragged(history, ends),
            },
            targets,
            scale,
        }
    }
}

impl Objective for SingleSample {
    type Example = Sample;
    type Part = Part;

    fn examples(&self, epoch: usize) -> Vec<Sample> {
        samples::epoch(&self.training, &self.unwatched, self.seed, epoch)
    }

    fn step(&mut self, examples: &[Sample], number: u64) -> Step<Part> {
        self.items.clear();
        self.features.iter_mut().for_each(Rows::clear);
        let scale = 1.0 / examples.len() as f32;
        let shards = examples.chunks(examples.len().div_ceil(self.shards));
        let parts = (0..)
            .zip(shards)
            .map(|(shard, samples)| self.part(samples, scale, number, shard))
            .collect();
        let mut rows = BTreeMap::new();
        for (feature, named) in self.tower.user_features.iter().zip(&self.features) {
            rows.insert(format!("user.{feature}"), named.rows().to_vec());
        }
        if let Loss::Sampled { .. } = self.loss {
            rows.insert("item.id".to_owned(), self.items.rows().to_vec());
        }
        Step {
            parts,
            rows,
            targets: examples.len(),
        }
    }

    fn loss(
        &self,
        tape: &Tape,
        parameters: &Parameters,
        part: &Part,
        _drops: Drops,
    ) -> Result<Tensor> {
        let h = youtubednn::users(tape, &self.tower, parameters, &part.users)?;
        let items = parameter(parameters, "item.id")?;
        match &part.targets {
            Targets::Sampled(candidates) => {
                sampled_softmax(tape, &h, items, candidates.clone(), part.scale)
            }
            Targets::Full(targets, watched) => full_softmax(
                tape,
                &h,
                items,
                RESERVED,
                targets.clone(),
                watched.clone(),
                part.scale,
            ),
        }
    }
}
