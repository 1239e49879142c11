//! `training.json`: what a run cost and reached.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::metrics::Figures;
use crate::model::error::Error;
use crate::model::recipe::Recipe;
use crate::model::trained::{self, Trained};
use crate::train::checkpoint::Progress;

/// The name of the report in a run directory.
const FILE: &str = "training.json";

/// One finished run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The recipe as it was trained, overrides included.
    pub recipe: Recipe,
    /// The code that trained it, see [`crate::train::CODE`]; several joined by `+` if it was resumed by another, empty if it left
    /// no name.
    #[serde(default)]
    pub code: String,
    /// Name of the dataset.
    pub dataset: String,
    /// Hash of the dataset.
    pub dataset_hash: String,
    /// Trained values.
    pub parameters: usize,
    /// Items that take part.
    pub items: usize,
    /// The epoch whose model was kept, from 1: the best validation NDCG@10.
    pub best_epoch: usize,
    /// Its figures on validation, seen items excluded.
    pub validation: Figures,
    /// Its figures on test, seen items excluded; computed once, after the choice.
    pub test: Figures,
    /// CPU time of training and validation; absent where the system does not tell.
    pub cpu_seconds: Option<f64>,
    /// Wall time of training and validation.
    pub wall_seconds: f64,
    /// Targets trained per second of CPU time, validation not counted.
    pub targets_per_cpu_second: Option<f64>,
    /// Epoch by epoch.
    pub epochs: Vec<Epoch>,
}

/// One epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean over the targets.
    pub loss: f64,
    /// Targets trained on.
    pub targets: usize,
    /// Figures on validation, seen items excluded.
    pub validation: Figures,
    /// CPU time without validation.
    pub training_cpu_seconds: Option<f64>,
    /// CPU time.
    pub cpu_seconds: Option<f64>,
    /// Wall time.
    pub wall_seconds: f64,
}

/// The epoch with the best validation NDCG@10; the first of equals.
pub(crate) fn best(epochs: &[Epoch]) -> Option<&Epoch> {
    let by_ndcg = |a: &&Epoch, b: &&Epoch| a.validation.ndcg_10.total_cmp(&b.validation.ndcg_10);
    epochs.iter().rev().max_by(by_ndcg)
}

impl Report {
    /// Sums a run up.
    pub(crate) fn new(
        model: &Trained,
        dataset: &Dataset,
        progress: Progress,
        test: Figures,
    ) -> Self {
        let Progress { code, epochs, .. } = progress;
        let sum = |of: fn(&Epoch) -> Option<f64>| epochs.iter().map(of).sum::<Option<f64>>();
        let targets = epochs.iter().map(|epoch| epoch.targets as f64).sum::<f64>();
        Self {
            recipe: model.recipe.clone(),
            code,
            dataset: dataset.name.clone(),
            dataset_hash: dataset.hash.clone(),
            parameters: model.parameter_count(),
            items: model.items_vocabulary().len() - 2,
            best_epoch: best(&epochs).map_or(0, |epoch| epoch.epoch),
            validation: best(&epochs)
                .map(|epoch| epoch.validation)
                .unwrap_or_default(),
            test,
            cpu_seconds: sum(|epoch| epoch.cpu_seconds),
            wall_seconds: epochs.iter().map(|epoch| epoch.wall_seconds).sum(),
            targets_per_cpu_second: sum(|epoch| epoch.training_cpu_seconds)
                .map(|seconds| targets / seconds),
            epochs,
        }
    }

    /// Reads the report of a finished run; nothing if there is none, or it is of another recipe or dataset.
    pub(crate) fn read(
        run: &Path,
        recipe: &Recipe,
        dataset: &Dataset,
    ) -> Result<Option<Self>, Error> {
        let path = run.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read(&path).map_err(Error::io(&path))?;
        let report: Self = serde_json::from_slice(&text).map_err(Error::file(&path))?;
        Ok((report.recipe == *recipe && report.dataset_hash == dataset.hash).then_some(report))
    }

    /// Writes the report into a run directory.
    pub(crate) fn write(&self, run: &Path) -> Result<(), Error> {
        let path = run.join(FILE);
        let text = serde_json::to_vec_pretty(self).map_err(Error::file(&path))?;
        std::fs::write(&path, text).map_err(Error::io(&path))
    }

    /// Removes the report of an older run.
    pub(crate) fn remove(run: &Path) -> Result<(), Error> {
        trained::remove(&run.join(FILE))
    }
}
