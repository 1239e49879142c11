//! A model before training: vocabularies out of a dataset, first values of the parameters.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::dataset::Dataset;
use crate::dataset::split::Split;
use crate::model::error::Error;
use crate::model::init::Init;
use crate::model::recipe::{Recipe, Tower};
use crate::model::trained::Trained;
use crate::model::vocabulary::{PADDING, RESERVED, Vocabulary};
use crate::model::{Parameters, attention, youtubednn};

impl Trained {
    /// A model with first values, for the items and users of a dataset.
    ///
    /// # Errors
    /// [`Error::Recipe`] if the recipe names a feature that the dataset does not have.
    pub fn new(recipe: &Recipe, dataset: &Dataset, split: &Split) -> Result<Self, Error> {
        let (vocabularies, catalog) = vocabularies(recipe, dataset, split)?;
        let sizes = |kind: &str, features: &[String]| -> Vec<(String, usize)> {
            features
                .iter()
                .map(|f| (f.clone(), vocabularies[&format!("{kind}.{f}")].len()))
                .collect()
        };
        let mut parameters = Parameters::new();
        let mut init = Init {
            parameters: &mut parameters,
            rng: ChaCha8Rng::seed_from_u64(recipe.training.seed),
        };
        let items = split.items.len() + RESERVED;
        match &recipe.tower {
            Tower::Attention(tower) => {
                let features = sizes("item", &tower.item_features);
                attention::init(tower, recipe.history, items, &features, &mut init)?;
            }
            Tower::YouTubeDnn(tower) => {
                let item_features = sizes("item", &tower.item_features);
                let user_features = sizes("user", &tower.user_features);
                let length = recipe.history;
                youtubednn::init(
                    tower,
                    length,
                    items,
                    &item_features,
                    &user_features,
                    &mut init,
                )?;
            }
        }
        Ok(Self {
            recipe: recipe.clone(),
            parameters,
            catalog,
            vocabularies,
        })
    }
}

type Vocabularies = BTreeMap<String, Vocabulary>;

fn vocabularies(
    recipe: &Recipe,
    dataset: &Dataset,
    split: &Split,
) -> Result<(Vocabularies, BTreeMap<String, Tensor>), Error> {
    let items = || {
        split
            .items
            .iter()
            .map(|&index| &dataset.items[index as usize])
    };
    let mut vocabularies = Vocabularies::new();
    let mut catalog = BTreeMap::new();
    vocabularies.insert(
        "item.id".to_owned(),
        Vocabulary::new(items().map(|item| item.id.to_string())),
    );
    for feature in recipe.item_features() {
        let vocabulary =
            Vocabulary::of_feature(items().filter_map(|item| item.features.get(feature)));
        let ids: Vec<Vec<u32>> = items()
            .map(|item| vocabulary.ids(item.features.get(feature)))
            .collect();
        let most = ids.iter().map(Vec::len).max().unwrap_or(0);
        if most == 0 {
            return Err(Error::Recipe(format!(
                "no item of {} has the feature {feature}",
                dataset.name
            )));
        }
        let mut padded = vec![PADDING; RESERVED * most];
        for mut ids in ids {
            ids.resize(most, PADDING);
            padded.extend(ids);
        }
        catalog.insert(
            feature.clone(),
            Tensor::from_vec(padded, (split.items.len() + RESERVED, most), &Device::Cpu)?,
        );
        vocabularies.insert(format!("item.{feature}"), vocabulary);
    }
    for feature in recipe.user_features() {
        let vocabulary = match feature.as_str() {
            "id" => Vocabulary::new(dataset.users.iter().map(|user| user.id.clone())),
            _ => Vocabulary::of_feature(
                dataset
                    .users
                    .iter()
                    .filter_map(|user| user.features.get(feature)),
            ),
        };
        if vocabulary.len() == RESERVED {
            return Err(Error::Recipe(format!(
                "no user of {} has the feature {feature}",
                dataset.name
            )));
        }
        vocabularies.insert(format!("user.{feature}"), vocabulary);
    }
    Ok((vocabularies, catalog))
}
