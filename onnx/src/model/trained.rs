//! A model in memory and its run directory: recipe, parameters, vocabularies, saved and loaded.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use candle_core::{Device, Tensor};

use crate::kernels::bag::Bags;
use crate::kernels::tape::Tape;
use crate::model::capsules::LOGITS;
use crate::model::error::Error;
use crate::model::recipe::Recipe;
use crate::model::vocabulary::Vocabulary;
use crate::model::{Parameters, attention};

/// Both towers and what turns raw features into their inputs.
#[derive(Clone, Debug)]
pub struct Trained {
    /// How it was made.
    pub recipe: Recipe,
    /// Trained values by name.
    pub parameters: Parameters,
    /// For each item feature the ids of every item's values, `[items + 2, most values]`, u32, padded with 0; rows as in
    /// `item.id`.
    pub catalog: BTreeMap<String, Tensor>,
    /// Vocabularies by source: `item.id`, `item.F`, `user.F`.
    pub vocabularies: BTreeMap<String, Vocabulary>,
}

impl Trained {
    /// Loads a run directory.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::File`] naming the file that is missing or wrong.
    pub fn load(run: &Path) -> Result<Self, Error> {
        let recipe = Recipe::read(&run.join("recipe.toml"))?;
        let path = run.join("model.safetensors");
        let tensors =
            candle_core::safetensors::load(&path, &Device::Cpu).map_err(Error::file(&path))?;
        let mut model = Self {
            recipe,
            parameters: Parameters::new(),
            catalog: BTreeMap::new(),
            vocabularies: BTreeMap::new(),
        };
        for (name, tensor) in tensors {
            match name.strip_prefix("catalog.") {
                Some(feature) => model.catalog.insert(feature.to_owned(), tensor),
                None => model.parameters.insert(name, tensor),
            };
        }
        for source in sources(&model.recipe) {
            let vocabulary =
                Vocabulary::read(&run.join("vocabulary").join(format!("{source}.txt")))?;
            model.vocabularies.insert(source, vocabulary);
        }
        model.check().map_err(Error::file(&path))?;
        Ok(model)
    }

    /// Writes recipe, parameters and vocabularies into a run directory; the parameters appear whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::File`] naming the file that could not be written.
    pub fn save(&self, run: &Path) -> Result<(), Error> {
        let dir = run.join("vocabulary");
        fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        for (source, vocabulary) in &self.vocabularies {
            vocabulary.write(&dir.join(format!("{source}.txt")))?;
        }
        let path = run.join("recipe.toml");
        let text = toml::to_string(&self.recipe).map_err(Error::file(&path))?;
        fs::write(&path, text).map_err(Error::io(&path))?;
        let catalog = self
            .catalog
            .iter()
            .map(|(feature, ids)| (format!("catalog.{feature}"), ids.clone()));
        let tensors = self
            .parameters
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.clone()))
            .chain(catalog);
        save_tensors(&tensors.collect(), &run.join("model.safetensors"))
    }

    /// The vocabulary of the items.
    pub fn items_vocabulary(&self) -> &Vocabulary {
        &self.vocabularies["item.id"]
    }

    /// How many values were trained.
    pub fn parameter_count(&self) -> usize {
        let trained = self.parameters.iter().filter(|(name, _)| *name != LOGITS);
        trained.map(|(_, tensor)| tensor.elem_count()).sum()
    }

    /// How many values are fixed from the start: the logits that routing starts from.
    pub fn fixed_count(&self) -> usize {
        self.parameters.get(LOGITS).map_or(0, Tensor::elem_count)
    }

    /// Checks that every vocabulary will survive its file.
    ///
    /// # Errors
    /// [`Error::Recipe`] naming the feature and the value that would not.
    pub(crate) fn check_values(&self) -> Result<(), Error> {
        for (source, vocabulary) in &self.vocabularies {
            if let Some(value) = vocabulary.unwritable() {
                return Err(Error::Recipe(format!(
                    "the feature {source} has the value {value:?}, which a vocabulary's line cannot hold"
                )));
            }
        }
        Ok(())
    }

    /// Says what does not fit together.
    fn check(&self) -> Result<(), String> {
        for (source, vocabulary) in &self.vocabularies {
            let table = self.parameters.get(source);
            let rows = table.and_then(|table| table.dims().first().copied());
            let (rows, lines) = (rows.unwrap_or(0), vocabulary.len());
            if rows != lines {
                return Err(format!(
                    "{source} has {rows} rows, its vocabulary has {lines} lines"
                ));
            }
        }
        let rows = self.items_vocabulary().len();
        for feature in self.recipe.item_features() {
            let dims = self.catalog.get(feature).map_or(&[][..], Tensor::dims);
            if dims.len() != 2 || dims[0] != rows {
                return Err(format!(
                    "catalog.{feature} is {dims:?}, item.id has {rows} rows"
                ));
            }
        }
        Ok(())
    }

    /// The vectors of all items by vocabulary id, `[items + 2, d]`.
    pub(crate) fn item_table(&self) -> Result<Tensor, Error> {
        Ok(attention::items(
            &Tape::off(),
            &self.parameters,
            &self.catalog_bags()?,
        )?)
    }

    /// The catalog's features as bags, in the recipe's order.
    pub(crate) fn catalog_bags(&self) -> Result<Vec<(String, Bags)>, Error> {
        let bags = |feature: &String| -> Result<(String, Bags), Error> {
            let ids = &self.catalog[feature];
            Ok((
                feature.clone(),
                Bags::padded(ids.flatten_all()?.to_vec1::<u32>()?, ids.dim(1)?),
            ))
        };
        self.recipe.item_features().iter().map(bags).collect()
    }
}

/// Writes tensors beside the path, then renames: no reader sees half a file, nor does one after a power cut.
pub(crate) fn save_tensors(tensors: &HashMap<String, Tensor>, path: &Path) -> Result<(), Error> {
    let beside = path.with_extension("part");
    candle_core::safetensors::save(tensors, &beside).map_err(Error::file(&beside))?;
    let synced = File::open(&beside).and_then(|file| file.sync_all());
    synced.map_err(Error::io(&beside))?;
    fs::rename(&beside, path).map_err(Error::io(path))
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    fs::remove_file(path).or_else(|e| match e.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(Error::io(path)(e)),
    })
}

/// The sources that a recipe has vocabularies for.
fn sources(recipe: &Recipe) -> Vec<String> {
    let items = recipe
        .item_features()
        .iter()
        .map(|feature| format!("item.{feature}"));
    let users = recipe
        .user_features()
        .iter()
        .map(|feature| format!("user.{feature}"));
    std::iter::once("item.id".to_owned())
        .chain(items)
        .chain(users)
        .collect()
}
