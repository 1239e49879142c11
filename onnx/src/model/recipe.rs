//! A recipe: everything that decides what a training run makes, as read from `towers/*.toml`.

mod capsules;
mod youtubednn;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::dataset::split::ItemSet;
pub use crate::kernels::products::Products;
use crate::model::error::Error;

pub use crate::model::recipe::capsules::{Capsules, Choice, Logits};
pub use crate::model::recipe::youtubednn::{
    Activation, EventFeature, Pooling, Transform, YouTubeDnn,
};

/// The most parts of a step: each has draws of its own, which its number's low byte tells apart.
pub(crate) const SHARDS_LIMIT: usize = 256;

/// How a model is built and trained. The files in `towers/` explain every key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What the recipe is called.
    pub name: String,
    /// Which items take part.
    pub items: ItemSet,
    /// How many of the newest events the user tower sees.
    pub history: usize,
    /// The network.
    pub tower: Tower,
    /// How it is trained.
    pub training: Training,
}

/// The network of the user tower.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tower {
    /// Causal self-attention: [`crate::model::attention`].
    Attention(Attention),
    /// The founding document's network: [`crate::model::youtubednn`].
    YouTubeDnn(YouTubeDnn),
}

/// Sizes and inputs of the self-attention tower.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attention {
    /// Width of the vectors.
    pub dim: usize,
    /// Layers.
    pub blocks: usize,
    /// Heads of each layer; they share the width.
    pub heads: usize,
    /// Item features added to the item table.
    pub item_features: Vec<String>,
    /// Edges of the buckets of an event's value, ascending.
    pub value_edges: Vec<f64>,
    /// Edges of the buckets of the seconds since the previous event, ascending.
    pub gap_edges: Vec<f64>,
    /// Whether attention has a learned bias by the time between two events, in the buckets of `gap_edges`.
    #[serde(default)]
    pub time_bias: bool,
    /// Whether every event also says how long after it the user asks, in the buckets of `gap_edges`.
    #[serde(default)]
    pub request_time: bool,
    /// Share of inputs and branch outputs dropped in training.
    pub dropout: f32,
    /// Share of attention weights dropped in training.
    pub attention_dropout: f32,
    /// Share of the ranked items whose id is dropped in training, so that content alone makes a vector of use.
    #[serde(default)]
    pub id_dropout: f32,
}

/// How a recipe is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// What the softmax runs over.
    pub loss: Loss,
    /// What the large matrix products of a step multiply; validation and export are always f32.
    #[serde(default)]
    pub products: Products,
    /// Passes over the training part.
    pub epochs: usize,
    /// Epochs without a better validation NDCG@10 after which training stops.
    pub patience: usize,
    /// Examples (windows or samples) a step.
    pub batch: usize,
    /// Highest learning rate.
    pub rate: f32,
    /// Steps over which the rate rises; after them it falls by a cosine to 0.
    pub warmup: usize,
    /// Adam's decay of the mean of gradients and of their squares.
    pub betas: [f32; 2],
    /// Weight decay of matrices that are not embeddings.
    pub decay: f32,
    /// The largest norm of a step's gradient.
    pub clip: f32,
    /// Parts that a step is cut into, each on a thread of its own.
    pub shards: usize,
    /// Seed of everything drawn.
    pub seed: u64,
}

/// What the softmax of the loss runs over.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Loss {
    /// All items but those the user has already watched.
    Full,
    /// The positive and as many negatives that the user has not watched.
    Sampled {
        /// Negatives for each positive.
        negatives: usize,
    },
    /// The positive and negatives that all samples of a shard share, but for those that the user has watched.
    Shared {
        /// Negatives for all of them.
        negatives: usize,
    },
}

/// What a caller changes of a recipe.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Passes over the training part.
    pub epochs: Option<usize>,
    /// Seed of everything drawn.
    pub seed: Option<u64>,
    /// Parts that a step is cut into, each on a thread of its own.
    pub shards: Option<usize>,
}

impl Recipe {
    /// Reads and checks a recipe file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::File`] if it is no recipe, [`Error::Recipe`] if its values do not fit.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let recipe: Self = toml::from_str(&text).map_err(Error::file(path))?;
        recipe.check()?;
        Ok(recipe)
    }

    /// The quick tower, which is compiled in.
    ///
    /// # Errors
    /// Never, as long as the tests pass.
    pub fn quick_tower() -> Result<Self, Error> {
        Self::parse(include_str!("../../towers/quick.toml"))
    }

    /// Parses and checks a recipe.
    ///
    /// # Errors
    /// [`Error::Recipe`] if it is none, or its values do not fit.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let recipe: Self = toml::from_str(text).map_err(|e| Error::Recipe(e.to_string()))?;
        recipe.check()?;
        Ok(recipe)
    }

    /// The recipe with a caller's changes.
    #[must_use]
    pub fn overridden(&self, overrides: &Overrides) -> Self {
        let mut recipe = self.clone();
        recipe.training.epochs = overrides.epochs.unwrap_or(recipe.training.epochs);
        recipe.training.seed = overrides.seed.unwrap_or(recipe.training.seed);
        recipe.training.shards = overrides.shards.unwrap_or(recipe.training.shards);
        recipe
    }

    /// Width of user and item vectors.
    pub fn dim(&self) -> usize {
        match &self.tower {
            Tower::Attention(tower) => tower.dim,
            Tower::YouTubeDnn(tower) => tower.dim,
        }
    }

    /// Vectors of a user.
    pub fn interests(&self) -> usize {
        match &self.tower {
            Tower::Attention(_) => 1,
            Tower::YouTubeDnn(tower) => tower.interests(),
        }
    }

    /// Item features beside the id.
    pub fn item_features(&self) -> &[String] {
        match &self.tower {
            Tower::Attention(tower) => &tower.item_features,
            Tower::YouTubeDnn(tower) => &tower.item_features,
        }
    }

    /// User features, in the order of the network's input.
    pub fn user_features(&self) -> &[String] {
        match &self.tower {
            Tower::Attention(_) => &[],
            Tower::YouTubeDnn(tower) => &tower.user_features,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let training = &self.training;
        let positive = [
            ("history", self.history),
            ("tower.dim", self.dim()),
            ("training.epochs", training.epochs),
            ("training.patience", training.patience),
            ("training.batch", training.batch),
            ("training.shards", training.shards),
        ];
        for (key, value) in positive {
            if value == 0 {
                return Err(Error::Recipe(format!("{key} is 0, it must be at least 1")));
            }
        }
        if training.shards > SHARDS_LIMIT {
            return Err(Error::Recipe(format!(
                "training.shards is {}, it must be at most {SHARDS_LIMIT}",
                training.shards
            )));
        }
        match (&self.tower, training.loss) {
            (_, Loss::Sampled { negatives: 0 } | Loss::Shared { negatives: 0 }) => Err(
                Error::Recipe("training.loss has 0 negatives, it must have at least 1".into()),
            ),
            (Tower::Attention(_), Loss::Sampled { .. } | Loss::Shared { .. }) => Err(
                Error::Recipe("the attention tower is trained with the full softmax only".into()),
            ),
            (Tower::Attention(tower), Loss::Full) => tower.check(),
            (Tower::YouTubeDnn(tower), loss) => tower.check(self.history, loss),
        }
    }
}

impl Attention {
    fn check(&self) -> Result<(), Error> {
        if self.heads == 0 || !self.dim.is_multiple_of(self.heads) {
            return Err(Error::Recipe(format!(
                "{} heads do not share a width of {}",
                self.heads, self.dim
            )));
        }
        for (key, rate) in [
            ("dropout", self.dropout),
            ("attention_dropout", self.attention_dropout),
            ("id_dropout", self.id_dropout),
        ] {
            if !(0.0..1.0).contains(&rate) {
                return Err(Error::Recipe(format!(
                    "tower.attention.{key} is {rate}, it must be in [0, 1)"
                )));
            }
        }
        for (key, edges) in [
            ("value_edges", &self.value_edges),
            ("gap_edges", &self.gap_edges),
        ] {
            if !edges.is_sorted_by(|a, b| a < b) {
                return Err(Error::Recipe(format!(
                    "tower.attention.{key} do not ascend"
                )));
            }
        }
        let is_power = |(power, edge): (i32, &f64)| *edge == 2.0_f64.powi(power);
        if self.time_bias && !(0..).zip(&self.gap_edges).all(is_power) {
            return Err(Error::Recipe(
                "tower.attention.time_bias takes gap_edges that are 1, 2, 4 and so on".into(),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn every_recipe_of_the_repository_parses_under_its_name_and_survives_its_file() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("towers");
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let recipe = Recipe::read(&path).unwrap();
            assert_eq!(path.file_stem().unwrap(), recipe.name.as_str());
            let written = toml::to_string(&recipe).unwrap();
            assert_eq!(Recipe::parse(&written).unwrap(), recipe);
            names.push(recipe.name);
        }
        assert!(names.iter().any(|name| name == "default"), "{names:?}");
    }

    fn refused(from: &str, to: &str, expected: &str) {
        let text = include_str!("../../towers/quick.toml").replacen(from, to, 1);
        let error = Recipe::parse(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        refused("heads = 2", "heads = 2\nheadz = 3", "headz");
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        refused(
            "heads = 2",
            "heads = 3",
            "3 heads do not share a width of 64",
        );
        refused("batch = 64", "batch = 0", "training.batch is 0");
        refused("dropout = 0.2", "dropout = 1.0", "dropout is 1");
        refused(
            "    1.0, 2.0, 4.0,",
            "    1.0, 2.0, 5.0,",
            "time_bias takes gap_edges that are 1, 2, 4",
        );
    }
}
