//! Makes one row: train, export, compare with the trainer, evaluate, time.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
};

use encoder::artifact::{ITEM_TOWER, USER_TOWER};

use crate::{
    bench::{
        error::Error,
        finished::{Finished, Point, Tested, Training},
        machine::{self, Machine},
        plan::Job,
        serving::{Effort, Load},
    },
    dataset::{Dataset, split::ItemSet},
    evaluate::{self, Evaluation},
    export,
    model::{
        self,
        recipe::{Overrides, Recipe},
    },
    train::{self, report::Report},
};

/// Where the work of the jobs lies between calls.
#[derive(Clone, Debug)]
pub struct Work(PathBuf);

impl Work {
    /// Under this directory.
    pub fn new(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    /// A job's run directory, as `onnx train` leaves it.
    pub fn run(&self, job: &Job) -> PathBuf {
        self.0.join("runs").join(job.id())
    }

    /// A job's artifact.
    pub fn artifact(&self, job: &Job) -> PathBuf {
        self.0.join("artifacts").join(job.id())
    }
}

/// Makes a row; a training that was stopped goes on from its last epoch, and one that is over is not repeated.
///
/// # Errors
/// [`Error::Row`] with what failed.
pub fn make(job: &Job, whole: &Dataset, work: &Work, effort: Effort) -> Result<Finished, Error> {
    let id = job.id();
    let dataset = &match job.users {
        Some(users) => Cow::Owned(first(whole, users)),
        None => Cow::Borrowed(whole),
    };
    let (run, artifact) = (work.run(job), work.artifact(job));
    let report = learn(job, dataset, &run).map_err(Error::row(&id))?;
    let exported = export::export(&run, &artifact).map_err(Error::row(&id))?;
    let options = evaluate::Options {
        sets: vec![job.recipe.items],
        ann: true,
        ..evaluate::Options::default()
    };
    let evaluation = evaluate::evaluate(&artifact, dataset, &options).map_err(Error::row(&id))?;
    let serving = Load::open(&artifact, dataset)
        .and_then(|load| load.measure(effort))
        .map_err(Error::row(&id))?;
    let size = |file: &str| {
        let path = artifact.join(file);
        fs::metadata(&path)
            .map(|file| file.len())
            .map_err(Error::io(&path))
    };
    Ok(Finished {
        recipe: json(&job.recipe).map_err(Error::row(&id))?,
        dataset: whole.name.clone(),
        dataset_hash: whole.hash.clone(),
        users: job.users,
        code: report.code.clone(),
        date: machine::today(),
        machine: Machine::this(),
        protocol: protocol(job, evaluation.request_time),
        space: exported.space,
        parameters: exported.parameters,
        parity: exported.parity,
        user_tower_bytes: size(USER_TOWER)?,
        item_tower_bytes: size(ITEM_TOWER)?,
        training: training(&report),
        validation: report.validation,
        test: tested(&evaluation),
        ann_recall_100: evaluation.ann.map(|ann| ann.recall_100),
        serving,
    })
}

/// How a job's figures come about, in one line.
fn protocol(job: &Job, request_time: bool) -> String {
    let mut protocol =
        "leave-one-out by time, full ranking, equal scores count against the model".to_owned();
    protocol += match job.recipe.items {
        ItemSet::S => ", set S: items with at least 5 events",
        ItemSet::R => ", set R: all items with an event",
    };
    if let Some(users) = job.users {
        protocol += &format!(", the first {users} users only, trained and tested");
    }
    if request_time {
        protocol += ", the model told the time of the test event";
    }
    protocol
}

/// The dataset of its first users.
fn first(dataset: &Dataset, users: usize) -> Dataset {
    let events = dataset.events.iter();
    let events = events.filter(|event| (event.user as usize) < users);
    Dataset::new(
        format!("{}, the first {users} users", dataset.name),
        dataset.users.iter().take(users).cloned().collect(),
        dataset.items.clone(),
        dataset.kinds.clone(),
        events.copied().collect(),
        dataset.bad_lines.clone(),
    )
}

/// A recipe as its file shows it: by way of text, which writes an f32 as short as it can.
fn json(recipe: &Recipe) -> serde_json::Result<serde_json::Value> {
    serde_json::from_str(&serde_json::to_string(recipe)?)
}

/// Trains, or takes the run up where it stands; what an older recipe left in the directory is begun anew.
fn learn(job: &Job, dataset: &Dataset, run: &Path) -> Result<Report, model::error::Error> {
    let train = |resume| train::train(&job.recipe, dataset, run, &Overrides::default(), resume);
    match train(true) {
        Err(model::error::Error::Resume { .. }) => train(false),
        done => done,
    }
}

fn training(report: &Report) -> Training {
    let mut cpu_seconds = Some(0.0);
    let point = |epoch: &train::report::Epoch| {
        cpu_seconds = cpu_seconds
            .zip(epoch.cpu_seconds)
            .map(|(sum, more)| sum + more);
        Point {
            cpu_minutes: cpu_seconds.map(|seconds| seconds / 60.0),
            loss: epoch.loss,
            hr_10: epoch.validation.hr_10,
            ndcg_10: epoch.validation.ndcg_10,
        }
    };
    Training {
        cpu_minutes: report.cpu_seconds.map(|seconds| seconds / 60.0),
        targets_per_cpu_second: report.targets_per_cpu_second,
        best_epoch: report.best_epoch,
        curve: report.epochs.iter().map(point).collect(),
    }
}

fn tested(evaluation: &Evaluation) -> Vec<Tested> {
    let tested = |row: &evaluate::Row| Tested {
        model: row.model.to_owned(),
        item_set: row.item_set,
        seen_excluded: row.seen_excluded,
        figures: row.figures,
    };
    evaluation.rows.iter().map(tested).collect()
}
