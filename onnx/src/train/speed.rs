//! What training costs: one epoch without validation, checkpoints or files.

use std::time::Instant;

use serde::Serialize;

use crate::bench::machine;
use crate::bench::report::Row;
use crate::dataset::Dataset;
use crate::dataset::split::Split;
use crate::loss::Objective;
use crate::loss::every_position::EveryPosition;
use crate::loss::single_sample::SingleSample;
use crate::model::error::Error;
use crate::model::recipe::{Recipe, Tower};
use crate::model::trained::Trained;
use crate::progress;
use crate::sampling::Training;
use crate::train::checkpoint::Checkpoint;
use crate::train::{Pace, Run, cpu};

/// One epoch's cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Speed {
    /// Items that take part.
    pub items: usize,
    /// Trained values.
    pub parameters: usize,
    /// Targets of the loss.
    pub samples: usize,
    /// Mean loss, to compare implementations by.
    pub loss: f64,
    /// User and system time of the process during the epoch; absent where the system does not tell.
    pub cpu_seconds: Option<f64>,
    /// Wall time of the epoch.
    pub wall_seconds: f64,
    /// The most memory that the process had at once, dataset and all, in MiB; absent where the system does not tell.
    pub peak_rss_mib: Option<f64>,
    /// The most it had before the epoch: dataset, model, training part.
    pub peak_rss_before_mib: Option<f64>,
}

impl Speed {
    /// The rows of the report, `NAME_cpu_s_per_100k_samples` and `NAME_peak_rss_mib`; what was not measured is absent.
    pub fn rows(&self, name: &str) -> Vec<Row> {
        let per_100k = self
            .cpu_seconds
            .map(|seconds| 1e5 * seconds / self.samples as f64);
        let figures = [
            ("cpu_s_per_100k_samples", per_100k, "s"),
            ("peak_rss_mib", self.peak_rss_mib, "MiB"),
        ];
        let row = |(what, value, unit): (&str, Option<f64>, &str)| {
            Some(Row {
                row: format!("{name}_{what}"),
                value: value?,
                unit: unit.to_owned(),
                goal: String::new(),
                command: "make bench-sampled".to_owned(),
                date: machine::today(),
            })
        };
        figures.into_iter().filter_map(row).collect()
    }
}

/// Trains a new model for one epoch. `whole_catalog` takes every item, events or none, in place of the recipe's set.
///
/// # Errors
/// As [`train`](super::train).
pub fn measure(recipe: &Recipe, dataset: &Dataset, whole_catalog: bool) -> Result<Speed, Error> {
    let split = match whole_catalog {
        true => Split::whole(dataset),
        false => Split::new(dataset, recipe.items),
    };
    let fresh = Trained::new(recipe, dataset, &split)?;
    let training = Training::new(&fresh, dataset, &split);
    let run = Run {
        recipe,
        dataset,
        split: &split,
        dir: std::path::Path::new(""),
    };
    match &recipe.tower {
        Tower::Attention(tower) => run.time(EveryPosition::new(&fresh, tower, training)?, &fresh),
        Tower::YouTubeDnn(tower) => {
            let objective = SingleSample::new(&fresh, tower, training, &split)?;
            run.time(objective, &fresh)
        }
    }
}

impl Run<'_> {
    fn time<O: Objective>(&self, mut objective: O, model: &Trained) -> Result<Speed, Error> {
        let mut state = Checkpoint::new(self.recipe, self.dataset, model);
        let samples = objective.examples(0).len();
        let steps = samples.div_ceil(self.recipe.training.batch) as u64;
        let pace = Pace {
            steps,
            bar: progress::bar(steps, "training"),
        };
        let before = peak_rss_mib();
        let (wall, cpu) = (Instant::now(), cpu::seconds());
        let (loss, samples) = self.epoch(&mut objective, model, &mut state, &pace)?;
        let (cpu_seconds, wall_seconds) = (cpu::since(cpu), wall.elapsed().as_secs_f64());
        pace.bar.finish_and_clear();
        Ok(Speed {
            items: self.split.items.len(),
            parameters: model.parameter_count(),
            samples,
            loss,
            cpu_seconds,
            wall_seconds,
            peak_rss_mib: peak_rss_mib(),
            peak_rss_before_mib: before,
        })
    }
}

/// The most resident memory of this process so far.
fn peak_rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::dataset::generator::{self, Options};

    #[test]
    fn the_recipes_that_pytorch_trains_too_parse() {
        for text in [
            include_str!("../../../examples/bench-torch/attention.toml"),
            include_str!("../../../examples/bench-torch/youtubednn.toml"),
        ] {
            assert_eq!(Recipe::parse(text).unwrap().training.shards, 1);
        }
    }

    #[test]
    fn a_sampled_loss_takes_every_item_of_the_catalog_and_counts_its_samples() {
        let dataset = generator::generate(&Options {
            seed: 1,
            users: 30,
            items: 900,
            events: 900,
        });
        let recipe = Recipe::parse(include_str!("../../towers/youtubednn-sum.toml")).unwrap();
        let speed = measure(&recipe, &dataset, true).unwrap();
        assert_eq!(speed.items, 900);
        let split = Split::whole(&dataset);
        let positions = split.users.iter().map(|user| user.training_len() - 1);
        assert_eq!(speed.samples, positions.sum::<usize>());
        assert!(speed.loss.is_finite());
        assert!(speed.peak_rss_mib.unwrap() >= speed.peak_rss_before_mib.unwrap());
    }
}
