//! A finished row: what is kept of it in `docs/runs/NAME-SET-seedN.json`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    bench::{error::Error, machine::Machine, plan::Job, serving::Serving},
    dataset::split::ItemSet,
    export::parity::Parity,
    metrics::Figures,
    model::recipe::Recipe,
};

/// One run of a row, trained, exported and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// The recipe as it was trained; as JSON, because an older program may have written it.
    pub recipe: Value,
    /// Name of the dataset.
    pub dataset: String,
    /// Its hash, whole.
    pub dataset_hash: String,
    /// How many users trained and were tested: the first so many; all if there is no number.
    #[serde(default)]
    pub users: Option<usize>,
    /// Hash of the code that trained it.
    pub code: String,
    /// The day it was made, `YYYY-MM-DD`.
    pub date: String,
    /// The machine that made it.
    pub machine: Machine,
    /// How the figures of `test` came about.
    pub protocol: String,
    /// The artifact's embedding space.
    pub space: String,
    /// Trained values.
    pub parameters: usize,
    /// How far ONNX Runtime and the trainer are apart.
    pub parity: Parity,
    /// Size of `user_tower.onnx`.
    pub user_tower_bytes: u64,
    /// Size of `item_tower.onnx`.
    pub item_tower_bytes: u64,
    /// How the training went.
    pub training: Training,
    /// Figures on validation of the epoch that was kept, seen items excluded.
    pub validation: Figures,
    /// Figures on test: the artifact by exact search, and the baselines.
    pub test: Vec<Tested>,
    /// Share of the 100 best by exact search that ANN search finds.
    pub ann_recall_100: Option<f64>,
    /// CPU time of embedding one user, by batch size.
    pub serving: Vec<Serving>,
}

/// What a training cost, and how it went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// CPU time of training and validation; absent where the system does not tell.
    pub cpu_minutes: Option<f64>,
    /// Targets trained per second of CPU time, validation not counted.
    pub targets_per_cpu_second: Option<f64>,
    /// The epoch that was kept, from 1.
    pub best_epoch: usize,
    /// Epoch by epoch.
    pub curve: Vec<Point>,
}

/// One epoch of a learning curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// CPU time so far.
    pub cpu_minutes: Option<f64>,
    /// Mean over the targets.
    pub loss: f64,
    /// On validation, seen items excluded.
    pub hr_10: f64,
    /// On validation, seen items excluded.
    pub ndcg_10: f64,
}

/// One model's figures on test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tested {
    /// `artifact`, `popularity` or `transitions`.
    pub model: String,
    /// Which items are ranked.
    pub item_set: ItemSet,
    /// Whether the items of a user's history are left out.
    pub seen_excluded: bool,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
}

impl Finished {
    /// The file of a job's result.
    pub fn path(runs: &Path, job: &Job) -> PathBuf {
        runs.join(format!("{}.json", job.id()))
    }

    /// Reads a job's result; nothing if there is none.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::File`] if there is one that cannot be read.
    pub fn read(runs: &Path, job: &Job) -> Result<Option<Self>, Error> {
        let path = Self::path(runs, job);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(Error::file(&path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io(&path)(e)),
        }
    }

    /// Writes a job's result, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn write(&self, runs: &Path, job: &Job) -> Result<(), Error> {
        let path = Self::path(runs, job);
        write_json(&path, self)
    }

    /// Whether it is of this job's recipe and users, by what the recipe means today.
    pub fn is_of(&self, job: &Job) -> bool {
        let made = serde_json::from_value::<Recipe>(self.recipe.clone());
        made.is_ok_and(|made| made == job.recipe) && self.users == job.users
    }

    /// A model's figures on test.
    pub fn figures(&self, model: &str, seen_excluded: bool) -> Option<&Figures> {
        let mut tested = self.test.iter();
        tested
            .find(|row| row.model == model && row.seen_excluded == seen_excluded)
            .map(|row| &row.figures)
    }

    /// The CPU time of one user in batches of this size, in microseconds.
    pub fn micros(&self, batch: usize) -> Option<f64> {
        let mut sizes = self.serving.iter();
        sizes
            .find(|serving| serving.batch == batch)
            .map(|serving| serving.micros)
    }
}

/// Writes JSON beside the path, then renames.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let text = serde_json::to_string_pretty(value).map_err(Error::file(path))?;
    let beside = path.with_extension("part");
    fs::write(&beside, text + "\n").map_err(Error::io(&beside))?;
    fs::rename(&beside, path).map_err(Error::io(path))
}
