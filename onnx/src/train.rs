//! Trains a recipe on a dataset into a run directory.
//!
//! A run directory holds `recipe.toml`, `model.safetensors` and `vocabulary/` of the best epoch so far (see
//! [`Trained`]), `training.json` ([`Report`]), and until the run is over a checkpoint to resume from. Everything drawn is a
//! function of the seed and the step's number, so a resumed run ends as one that was never stopped.

mod checkpoint;
pub(crate) mod cpu;
pub(crate) mod gradients;
mod optimizer;
pub mod report;
mod schedule;
pub mod speed;
mod validation;

use std::path::Path;
use std::time::Instant;

use indicatif::ProgressBar;
use tracing::info;

use crate::dataset::Dataset;
use crate::dataset::split::Split;
use crate::loss::Objective;
use crate::loss::every_position::EveryPosition;
use crate::loss::single_sample::SingleSample;
use crate::model::attention::mix;
use crate::model::error::Error;
use crate::model::recipe::{Overrides, Recipe, Tower};
use crate::model::trained::Trained;
use crate::progress;
use crate::sampling::Training;
use crate::train::checkpoint::Checkpoint;
use crate::train::optimizer::Optimizer;
use crate::train::report::{Epoch, Report};
use crate::train::validation::Held;

/// Names the code that decides what a run makes: a hash of its sources without comments and tests.
pub const CODE: &str = env!("TRAINING_CODE");

/// Trains a recipe and leaves the best epoch's model in `run`.
///
/// With `resume` it goes on from the checkpoint in `run`, if there is one; a run that is over is returned as it is.
/// Else it begins anew, and an older run's report and checkpoint in `run` are removed first.
/// Blocks for minutes on `training.shards` threads and shows a progress bar.
///
/// # Errors
/// [`Error::TooFew`] if the data is too small, [`Error::Recipe`] if it lacks a feature or has a value that no
/// vocabulary can hold, [`Error::Resume`] if the checkpoint is of another recipe or dataset, [`Error::Diverged`] if the
/// loss is no number any more.
pub fn train(
    recipe: &Recipe,
    dataset: &Dataset,
    run: &Path,
    overrides: &Overrides,
    resume: bool,
) -> Result<Report, Error> {
    let recipe = recipe.overridden(overrides);
    let split = Split::new(dataset, recipe.items);
    let fresh = Trained::new(&recipe, dataset, &split)?;
    fresh.check_values()?;
    let training = Training::new(&fresh, dataset, &split);
    let has_target = training.users.iter().any(|user| user.history.len() > 1);
    if !has_target || split.items.len() < 2 {
        let (name, events) = (dataset.name.clone(), split.events());
        return Err(Error::TooFew {
            name,
            events,
            items: split.items.len(),
            set: recipe.items,
        });
    }
    std::fs::create_dir_all(run).map_err(Error::io(run))?;
    let state = match resume {
        true => Checkpoint::load(run, &recipe, dataset)?,
        false => None,
    };
    if resume
        && state.is_none()
        && let Some(report) = Report::read(run, &recipe, dataset)?
    {
        return Ok(report);
    }
    let state = match state {
        Some(state) => state,
        None => {
            Report::remove(run)?;
            Checkpoint::remove(run)?;
            Checkpoint::new(&recipe, dataset, &fresh)
        }
    };
    let run = Run {
        recipe: &recipe,
        dataset,
        split: &split,
        dir: run,
    };
    match &recipe.tower {
        Tower::Attention(tower) => {
            run.finish(EveryPosition::new(&fresh, tower, training)?, fresh, state)
        }
        Tower::YouTubeDnn(tower) => {
            let objective = SingleSample::new(&fresh, tower, training, &split)?;
            run.finish(objective, fresh, state)
        }
    }
}

/// What stays the same from step to step.
struct Run<'a> {
    recipe: &'a Recipe,
    dataset: &'a Dataset,
    split: &'a Split,
    dir: &'a Path,
}

/// How long the run is, and where people see how far it is.
struct Pace {
    steps: u64,
    bar: ProgressBar,
}

impl Run<'_> {
    /// Trains from a checkpoint to the end.
    fn finish<O: Objective>(
        &self,
        mut objective: O,
        mut model: Trained,
        mut state: Checkpoint,
    ) -> Result<Report, Error> {
        let settings = &self.recipe.training;
        model.parameters = state.parameters.clone();
        let held_out = Held::validation(&model, self.dataset, self.split);
        let steps = objective.examples(0).len().div_ceil(settings.batch) * settings.epochs;
        let pace = Pace {
            steps: steps as u64,
            bar: progress::bar(steps as u64, "training"),
        };
        pace.bar.set_position(state.progress.steps);
        while state.progress.epochs.len() < settings.epochs
            && !self.is_stale(&state.progress.epochs)
        {
            self.round(&mut objective, &model, &held_out, &mut state, &pace)?;
        }
        pace.bar.finish_and_clear();
        let model = Trained::load(self.dir)?;
        let test = Held::test(&model, self.dataset, self.split).figures(&model)?;
        let report = Report::new(&model, self.dataset, state.progress, test);
        report.write(self.dir)?;
        Checkpoint::remove(self.dir)?;
        Ok(report)
    }

    /// Trains one epoch, validates, and keeps what is worth keeping.
    fn round<O: Objective>(
        &self,
        objective: &mut O,
        model: &Trained,
        held_out: &Held<'_>,
        state: &mut Checkpoint,
        pace: &Pace,
    ) -> Result<(), Error> {
        let (wall, cpu) = (Instant::now(), cpu::seconds());
        let number = state.progress.epochs.len() + 1;
        let (loss, targets) = self.epoch(objective, model, state, pace)?;
        let training_cpu_seconds = cpu::since(cpu);
        let validation = held_out.figures(model)?;
        if report::best(&state.progress.epochs)
            .is_none_or(|best| best.validation.ndcg_10 < validation.ndcg_10)
        {
            model.save(self.dir)?;
        }
        pace.bar.set_message(format!(
            "epoch {number}, loss {loss:.3}, validation HR@10 {:.4}",
            validation.hr_10
        ));
        info!(
            epoch = number,
            loss,
            hr_10 = validation.hr_10,
            ndcg_10 = validation.ndcg_10,
            "epoch trained"
        );
        state.progress.epochs.push(Epoch {
            epoch: number,
            loss,
            targets,
            validation,
            training_cpu_seconds,
            cpu_seconds: cpu::since(cpu),
            wall_seconds: wall.elapsed().as_secs_f64(),
        });
        state.save(self.dir)
    }

    /// Trains one epoch and returns its mean loss, and over how many targets.
    fn epoch<O: Objective>(
        &self,
        objective: &mut O,
        model: &Trained,
        state: &mut Checkpoint,
        pace: &Pace,
    ) -> Result<(f64, usize), Error> {
        let settings = &self.recipe.training;
        let number = state.progress.epochs.len();
        let examples = objective.examples(number);
        let (mut losses, mut targets) = (0.0, 0);
        for examples in examples.chunks(settings.batch) {
            let step = objective.step(examples, state.progress.steps);
            let seed = mix(settings.seed ^ mix(state.progress.steps));
            let gradients =
                gradients::of(objective, &model.parameters, &step, seed, settings.products)?;
            if !gradients.loss.is_finite() {
                return Err(Error::Diverged {
                    loss: gradients.loss,
                    epoch: number + 1,
                });
            }
            losses += f64::from(gradients.loss) * step.targets as f64;
            targets += step.targets;
            state.progress.steps += 1;
            let rate = schedule::rate(settings, state.progress.steps, pace.steps);
            let optimizer = Optimizer {
                settings,
                rate,
                number: state.progress.steps,
            };
            optimizer.step(
                &model.parameters,
                &gradients,
                &step.rows,
                &mut state.moments,
            )?;
            pace.bar.inc(1);
        }
        Ok((losses / targets as f64, targets))
    }

    /// Whether the last `patience` epochs were all worse than one before them.
    fn is_stale(&self, epochs: &[Epoch]) -> bool {
        let since = report::best(epochs).map_or(0, |best| epochs.len() - best.epoch);
        since >= self.recipe.training.patience
    }
}

#[cfg(test)]
mod tests;
