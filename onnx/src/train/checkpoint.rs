//! What a run must remember between epochs, to go on where it was stopped.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::kernels::adamw::Moments;
use crate::model::Parameters;
use crate::model::error::Error;
use crate::model::recipe::Recipe;
use crate::model::trained::{self, Trained, save_tensors};
use crate::train;
use crate::train::report::Epoch;

const FILE: &str = "checkpoint.safetensors";
const PROGRESS: &str = "progress";

/// The state of a run after an epoch.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    /// How far the run is.
    pub(crate) progress: Progress,
    /// Current values, not those of the best epoch.
    pub(crate) parameters: Parameters,
    /// The optimizer's.
    pub(crate) moments: BTreeMap<String, Moments>,
}

/// How far a run is, and of what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Progress {
    recipe: Recipe,
    dataset: String,
    /// The codes that trained it so far, in order, joined by `+`.
    #[serde(default)]
    pub(crate) code: String,
    /// Steps of the optimizer so far.
    pub(crate) steps: u64,
    /// The epochs so far.
    pub(crate) epochs: Vec<Epoch>,
}

impl Checkpoint {
    /// The state before the first epoch.
    pub(crate) fn new(recipe: &Recipe, dataset: &Dataset, model: &Trained) -> Self {
        let dataset = dataset.hash.clone();
        Self {
            progress: Progress {
                recipe: recipe.clone(),
                dataset,
                code: train::CODE.to_owned(),
                steps: 0,
                epochs: Vec::new(),
            },
            parameters: model.parameters.clone(),
            moments: BTreeMap::new(),
        }
    }

    /// Reads the checkpoint of a run; nothing if there is none.
    pub(crate) fn load(
        run: &Path,
        recipe: &Recipe,
        dataset: &Dataset,
    ) -> Result<Option<Self>, Error> {
        let path = run.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let mut tensors =
            candle_core::safetensors::load(&path, &Device::Cpu).map_err(Error::file(&path))?;
        let missing = || Error::File {
            path: path.clone(),
            reason: "holds no progress".into(),
        };
        let progress = tensors
            .remove(PROGRESS)
            .ok_or_else(missing)?
            .to_vec1::<u8>()?;
        let mut progress: Progress =
            serde_json::from_slice(&progress).map_err(Error::file(&path))?;
        progress.check(run, recipe, dataset)?;
        if !progress.code.ends_with(train::CODE) {
            progress.code = format!("{}+{}", progress.code, train::CODE);
        }
        let mut state = Self {
            progress,
            parameters: Parameters::new(),
            moments: BTreeMap::new(),
        };
        for (name, tensor) in tensors {
            if let Some(name) = name.strip_prefix("first.") {
                state.moments.entry(name.to_owned()).or_default().first = tensor.to_vec1()?;
            } else if let Some(name) = name.strip_prefix("second.") {
                state.moments.entry(name.to_owned()).or_default().second = tensor.to_vec1()?;
            } else {
                state.parameters.insert(name, tensor);
            }
        }
        Ok(Some(state))
    }

    /// Writes the checkpoint into a run directory, whole or not at all.
    pub(crate) fn save(&self, run: &Path) -> Result<(), Error> {
        let path = run.join(FILE);
        let flat = |values: &[f32]| Tensor::new(values, &Device::Cpu);
        let progress = serde_json::to_vec(&self.progress).map_err(Error::file(&path))?;
        let mut tensors =
            HashMap::from([(PROGRESS.to_owned(), Tensor::new(progress, &Device::Cpu)?)]);
        tensors.extend(self.parameters.clone());
        for (name, moments) in &self.moments {
            tensors.insert(format!("first.{name}"), flat(&moments.first)?);
            tensors.insert(format!("second.{name}"), flat(&moments.second)?);
        }
        save_tensors(&tensors, &path)
    }

    /// Removes the checkpoint of a run that is over, or begins anew.
    pub(crate) fn remove(run: &Path) -> Result<(), Error> {
        trained::remove(&run.join(FILE))
    }
}

impl Progress {
    fn check(&self, run: &Path, recipe: &Recipe, dataset: &Dataset) -> Result<(), Error> {
        let begun = |what, found: &str, expected: &str| Error::Resume {
            run: run.to_path_buf(),
            what,
            found: found.to_owned(),
            expected: expected.to_owned(),
        };
        if self.dataset != dataset.hash {
            return Err(begun("dataset", &self.dataset, &dataset.hash));
        }
        if self.recipe != *recipe {
            let text = |recipe: &Recipe| format!("{recipe:?}");
            return Err(begun("recipe", &text(&self.recipe), &text(recipe)));
        }
        Ok(())
    }
}
