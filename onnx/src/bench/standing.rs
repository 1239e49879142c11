//! What stands of the rows: which are kept, which must be made, and why.

use std::path::Path;

use crate::{
    bench::{error::Error, finished::Finished, plan::Job},
    dataset::split::ItemSet,
    train,
};

/// Whether a job must be run.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It is there, of this recipe and dataset.
    Kept(Box<Finished>),
    /// It must be made; says why.
    Missing(String),
}

/// The results at hand, in the order of the list.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    rows: Vec<(Job, Finished)>,
}

/// The mean over the seeds of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The standard deviation over the seeds; nothing for one seed.
    pub deviation: Option<f64>,
}

impl Standing {
    /// Looks a job up among the results; without a dataset's hash any dataset will do.
    ///
    /// # Errors
    /// [`Error::File`] if there is a result that cannot be read.
    pub fn of(job: &Job, runs: &Path, dataset_hash: Option<&str>) -> Result<Self, Error> {
        let Some(finished) = Finished::read(runs, job)? else {
            return Ok(Self::Missing("it was never made".into()));
        };
        if !finished.is_of(job) {
            return Ok(Self::Missing("its recipe changed".into()));
        }
        Ok(match dataset_hash {
            Some(hash) if hash != finished.dataset_hash => Self::Missing(format!(
                "it was made on {} {:.8}, the dataset is {hash:.8}",
                finished.dataset, finished.dataset_hash
            )),
            _ => Self::Kept(Box::new(finished)),
        })
    }
}

impl Finished {
    /// Says that other code than this program's trained the row; nothing if it did not.
    pub fn reused(&self) -> Option<String> {
        let code = match self.code.as_str() {
            "" => "that left no name",
            code => &code[..code.len().min(8)],
        };
        (self.code != train::CODE).then(|| format!("reused (made by code {code})"))
    }
}

impl Kept {
    /// Adds a job's result.
    pub fn push(&mut self, job: Job, finished: Finished) {
        self.rows.push((job, finished));
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &(Job, Finished)> {
        self.rows.iter()
    }

    /// The results of a tower on an item set, by seed.
    pub fn of(&self, tower: &str, set: ItemSet) -> Vec<&Finished> {
        let is_of = |job: &Job| job.tower == tower && job.recipe.items == set;
        let rows = self.rows.iter().filter(|(job, _)| is_of(job));
        rows.map(|(_, finished)| finished).collect()
    }

    /// The result of a tower's first seed on set S.
    pub fn first(&self, tower: &str) -> Option<&(Job, Finished)> {
        let is_of = |job: &Job| job.tower == tower && job.recipe.items == ItemSet::S;
        self.rows.iter().find(|(job, _)| is_of(job))
    }

    /// The mean of something over the seeds of a tower that are made; nothing if one of them lacks it, or there is none.
    pub fn mean(
        &self,
        tower: &str,
        set: ItemSet,
        of: impl Fn(&Finished) -> Option<f64>,
    ) -> Option<Spread> {
        let values: Option<Vec<f64>> = self.of(tower, set).into_iter().map(of).collect();
        Spread::of(&values?)
    }

    /// The jobs of the list that have no result here.
    pub fn absent<'a>(&self, jobs: &'a [Job]) -> Vec<&'a Job> {
        let is_here = |job: &&Job| self.rows.iter().any(|(kept, _)| kept.id() == job.id());
        jobs.iter().filter(|job| !is_here(job)).collect()
    }

    /// Any result on an item set and so many users, for the baselines that stand in all of them.
    pub fn any(&self, set: ItemSet, users: Option<usize>) -> Option<&Finished> {
        let is_on = |job: &Job| job.recipe.items == set && job.users == users;
        let mut rows = self.rows.iter();
        rows.find(|(job, _)| is_on(job))
            .map(|(_, finished)| finished)
    }
}

impl Spread {
    /// The mean of values; nothing for none.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            mean,
            deviation: (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn one_seed_has_a_mean_and_no_spread() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[2.0]).unwrap().deviation, None);
        let spread = Spread::of(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((spread.mean, spread.deviation), (2.0, Some(1.0)));
    }
}
