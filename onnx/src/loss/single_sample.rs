//! The YouTubeDNN tower's objective: one positive at the end of a history, against drawn negatives or the whole catalog.

mod catalog;
mod interests;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Result, Tensor};
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use crate::dataset::split::{Sequence, Split};
use crate::kernels::bag::Bags;
use crate::kernels::full_softmax::{Over, Watched, full_softmax};
use crate::kernels::pool::Weights;
use crate::kernels::sampled_softmax::sampled_softmax;
use crate::kernels::shared_softmax::{Shared, shared_softmax};
use crate::kernels::tape::Tape;
use crate::loss::single_sample::catalog::Catalog;
use crate::loss::{Objective, Step};
use crate::model::attention::{self, Drops};
use crate::model::error::Error;
use crate::model::history::History;
use crate::model::recipe::{Loss, YouTubeDnn};
use crate::model::trained::Trained;
use crate::model::vocabulary::RESERVED;
use crate::model::{Parameters, youtubednn};
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
    /// For each event of each user the row of its age, if the tower reads it.
    ages: Vec<Vec<u32>>,
    unwatched: Unwatched,
    sequences: Arc<Vec<Vec<u32>>>,
    weights: Arc<Weights>,
    catalog: Catalog,
    items: Rows,
    features: Vec<Rows>,
}

/// The samples of one shard.
pub(crate) struct Part {
    users: youtubednn::Users,
    targets: Targets,
    scale: f32,
    /// The features of the items that take part.
    catalog: Arc<Vec<(String, Bags)>>,
}

enum Targets {
    /// For each sample the positive and the negatives, rows of the step's stand-in.
    Sampled(Arc<[u32]>),
    /// The positives and the negatives of all, rows of the step's stand-in.
    Shared(Arc<Shared>),
    /// For each sample the positive, a row of the whole table.
    Full(Vec<u32>, Watched),
}

impl SingleSample {
    /// The objective of a model of this tower.
    pub(crate) fn new(
        model: &Trained,
        tower: &YouTubeDnn,
        training: Training,
        split: &Split,
    ) -> std::result::Result<Self, Error> {
        let sequences: Vec<_> = training
            .users
            .iter()
            .map(|user| user.history.items.clone())
            .collect();
        let items = model.items_vocabulary().len();
        let feature = |name: &String| Rows::new(model.vocabularies[&format!("user.{name}")].len());
        Ok(Self {
            length: model.recipe.history,
            shards: model.recipe.training.shards,
            seed: model.recipe.training.seed,
            loss: model.recipe.training.loss,
            ages: ages(tower, split),
            unwatched: Unwatched::new(sequences.iter().cloned(), items),
            sequences: Arc::new(sequences),
            weights: Arc::new(youtubednn::weights(&tower.pooling, model.recipe.history)),
            catalog: Catalog::new(model)?,
            items: Rows::new(items),
            features: tower.user_features.iter().map(feature).collect(),
            tower: tower.clone(),
            training,
        })
    }

    fn part(&mut self, samples: &[Sample], scale: f32, number: u64, shard: u64) -> Part {
        let users = self.users(samples);
        let mut rng = draws(self.seed, 3, number << 8 | shard);
        let targets = match self.loss {
            Loss::Sampled { negatives } => self.sampled(samples, negatives, &mut rng),
            Loss::Shared { negatives } => self.shared(samples, negatives, &mut rng),
            Loss::Full => self.full(samples),
        };
        Part {
            users,
            targets,
            scale,
            catalog: self.catalog.whole(),
        }
    }

    /// What the tower reads: of each history the newest events before the sample's position.
    fn users(&mut self, samples: &[Sample]) -> youtubednn::Users {
        let mut features = vec![Vec::with_capacity(samples.len()); self.features.len()];
        let (mut rows, mut ends) = (History::default(), Vec::with_capacity(samples.len()));
        let mut ages = Vec::new();
        for sample in samples {
            let user = &self.training.users[sample.user as usize];
            let position = sample.position as usize;
            let of_features = self.features.iter_mut().zip(&user.features);
            for (ids, (rows, &id)) in features.iter_mut().zip(of_features) {
                ids.push(rows.number(id));
            }
            rows.append(&user.history, History::window(position, self.length));
            ends.push(rows.len() as u32);
            ages.extend(
                self.ages
                    .get(sample.user as usize)
                    .map(|ages| ages[position]),
            );
        }
        if self.stands_in() {
            for item in &mut rows.items {
                *item = self.items.number(*item);
            }
        }
        youtubednn::Users {
            features: features.into_iter().map(Bags::single).collect(),
            events: youtubednn::Events::new(rows, ends, self.weights.clone()),
            ages: (!self.ages.is_empty()).then(|| Bags::single(ages)),
        }
    }

    /// Whether a few rows stand in for the item table.
    fn stands_in(&self) -> bool {
        self.loss != Loss::Full
    }

    fn positive(&self, sample: &Sample) -> u32 {
        self.training.users[sample.user as usize].history.items[sample.position as usize]
    }

    fn sampled(&mut self, samples: &[Sample], negatives: usize, rng: &mut ChaCha8Rng) -> Targets {
        let mut candidates = Vec::with_capacity(samples.len() * (negatives + 1));
        for sample in samples {
            candidates.push(self.items.number(self.positive(sample)));
            for _ in 0..negatives {
                let negative = self.unwatched.draw(sample.user, rng);
                candidates.push(self.items.number(negative));
            }
        }
        Targets::Sampled(candidates.into())
    }

    fn shared(&mut self, samples: &[Sample], negatives: usize, rng: &mut ChaCha8Rng) -> Targets {
        let items = self.unwatched.items();
        let drawn = index::sample(rng, items, negatives.min(items));
        let drawn: Vec<u32> = drawn.iter().map(|item| (item + RESERVED) as u32).collect();
        let mut places = vec![u32::MAX; items + RESERVED];
        for (place, &item) in (0..).zip(&drawn) {
            places[item as usize] = place;
        }
        let (mut left_out, mut ends) = (Vec::new(), Vec::with_capacity(samples.len()));
        for sample in samples {
            let watched = self.unwatched.watched(sample.user).iter();
            let watched = watched.map(|&item| places[item as usize]);
            left_out.extend(watched.filter(|&place| place != u32::MAX));
            ends.push(left_out.len() as u32);
        }
        let mut number = |item: u32| self.items.number(item);
        let negatives = drawn.iter().map(|&item| number(item)).collect();
        let positives = samples
            .iter()
            .map(|sample| self.positive(sample))
            .collect::<Vec<_>>();
        Targets::Shared(Arc::new(Shared {
            positives: positives
                .iter()
                .map(|&item| self.items.number(item))
                .collect(),
            negatives,
            left_out,
            ends,
        }))
    }

    fn full(&self, samples: &[Sample]) -> Targets {
        let rows = samples.iter().map(|sample| (sample.user, sample.position));
        let watched = Watched {
            sequences: self.sequences.clone(),
            rows: rows.collect(),
        };
        let positives = samples.iter().map(|sample| self.positive(sample));
        Targets::Full(positives.collect(), watched)
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
        let mut parts: Vec<Part> = (0..)
            .zip(shards)
            .map(|(shard, samples)| self.part(samples, scale, number, shard))
            .collect();
        let mut rows = BTreeMap::new();
        for (feature, named) in self.tower.user_features.iter().zip(&self.features) {
            rows.insert(format!("user.{feature}"), named.rows().to_vec());
        }
        if self.stands_in() {
            let catalog = self.catalog.of(self.items.rows());
            for part in &mut parts {
                part.catalog = catalog.clone();
            }
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
        drops: Drops,
    ) -> Result<Tensor> {
        let items = &attention::items(tape, parameters, &part.catalog)?;
        let h = youtubednn::users(tape, &self.tower, parameters, items, &part.users, drops)?;
        match &self.tower.capsules {
            Some(capsules) => interests::loss(tape, capsules, &h, items, part),
            None => plain(tape, &h, items, part),
        }
    }
}

/// The loss of one vector a user.
fn plain(tape: &Tape, h: &Tensor, items: &Tensor, part: &Part) -> Result<Tensor> {
    match &part.targets {
        Targets::Sampled(candidates) => {
            sampled_softmax(tape, h, items, candidates.clone(), part.scale)
        }
        Targets::Shared(shared) => shared_softmax(tape, h, items, shared.clone(), part.scale),
        Targets::Full(targets, watched) => {
            let over = over(targets, watched, None, part.scale);
            full_softmax(tape, h, items, over)
        }
    }
}

/// The whole catalog but what each user has watched.
fn over(targets: &[u32], watched: &Watched, active: Option<Arc<[u32]>>, scale: f32) -> Over {
    Over {
        reserved: RESERVED,
        targets: targets.to_vec(),
        watched: watched.clone(),
        active,
        scale,
    }
}

/// For each event of the training part the row of its age: how long before the newest of them all it was.
fn ages(tower: &YouTubeDnn, split: &Split) -> Vec<Vec<u32>> {
    if tower.example_age_edges.is_empty() {
        return Vec::new();
    }
    let times = |sequence: &'_ Sequence| sequence.times[..sequence.training_len()].to_vec();
    let times: Vec<Vec<i64>> = split.users.iter().map(times).collect();
    let newest = times.iter().flatten().copied().max().unwrap_or(0);
    let age = |time: i64| youtubednn::age(tower, newest.saturating_sub(time));
    times
        .into_iter()
        .map(|times| times.into_iter().map(age).collect())
        .collect()
}

#[cfg(test)]
mod tests;
