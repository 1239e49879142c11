//! The founding document's network, layer by layer, with its own table sizes: what its parameter count is compared with.
//!
//! Our vocabularies hold one row more a table than the document's, for unseen values; here the tables are the document's.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::model::capsules::LOGITS;
use crate::model::error::Error;
use crate::model::init::Init;
use crate::model::recipe::{Recipe, Tower};
use crate::model::{Parameters, youtubednn};

/// Rows of the item table: 3,706 movies and the padding.
const ITEMS: usize = 3_707;
/// Rows of the user features' tables, padding among them.
const USER_FEATURES: [(&str, usize); 5] = [
    ("id", 6_041),
    ("gender", 3),
    ("age", 8),
    ("occupation", 22),
    ("zip", 3_440),
];

/// One parameter of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// What it is called in a run directory.
    pub name: String,
    /// Its axes.
    pub shape: Vec<usize>,
    /// Whether training moves it.
    pub trained: bool,
}

impl Layer {
    /// How many values it has.
    pub fn parameters(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The parameters of `towers/document.toml` with the document's tables, by name.
///
/// # Errors
/// Never, as long as the tests pass.
pub fn layers() -> Result<Vec<Layer>, Error> {
    let recipe = Recipe::parse(include_str!("../../towers/document.toml"))?;
    let Tower::YouTubeDnn(tower) = &recipe.tower else {
        return Err(Error::Recipe("document.toml is another tower".into()));
    };
    let mut parameters = Parameters::new();
    let mut init = Init {
        parameters: &mut parameters,
        rng: ChaCha8Rng::seed_from_u64(recipe.training.seed),
    };
    let features = USER_FEATURES.map(|(name, rows)| (name.to_owned(), rows));
    youtubednn::init(tower, recipe.history, ITEMS, &[], &features, &mut init)?;
    let layer = |(name, tensor): (String, candle_core::Tensor)| Layer {
        shape: tensor.dims().to_vec(),
        trained: name != LOGITS,
        name,
    };
    Ok(parameters.into_iter().map(layer).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    /// The sum over the layers whose names begin so.
    fn check(layers: &[Layer], prefixes: &[&str], expected: usize) {
        let named = |layer: &&Layer| prefixes.iter().any(|prefix| layer.name.starts_with(prefix));
        let found: usize = layers.iter().filter(named).map(Layer::parameters).sum();
        assert_eq!(found, expected, "{prefixes:?}");
    }

    #[test]
    fn the_document_s_network_has_its_parameters_layer_by_layer() {
        let layers = layers().unwrap();
        check(&layers, &["item.id"], 237_248);
        check(&layers, &["user.id"], 386_624);
        check(&layers, &["user.gender"], 192);
        check(&layers, &["user.age"], 512);
        check(&layers, &["user.occupation"], 1_408);
        check(&layers, &["user.zip"], 220_160);
        check(&layers, &["capsule.map"], 4_096);
        check(&layers, &["capsule.logits"], 250);
        // FC_1 is stored in two blocks of columns: what all interests share, and what meets the capsule.
        check(&layers, &["mlp.0.", "mlp.capsule."], 57_472);
        check(&layers, &["mlp.1."], 8_256);
        check(&layers, &[""], 916_218);
        let trained = layers.iter().filter(|layer| layer.trained);
        assert_eq!(trained.map(Layer::parameters).sum::<usize>(), 915_968);
    }

    #[test]
    fn its_hidden_layer_meets_six_rows_and_a_capsule() {
        let layers = layers().unwrap();
        let shape = |name: &str| {
            layers
                .iter()
                .find(|layer| layer.name == name)
                .unwrap()
                .shape
                .clone()
        };
        assert_eq!(shape("mlp.0.weight"), [128, 384]);
        assert_eq!(shape("mlp.capsule.weight"), [128, 64]);
        assert_eq!(shape("mlp.1.weight"), [64, 128]);
        assert_eq!(shape(LOGITS), [5, 50]);
    }
}
