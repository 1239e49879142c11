//! Everything that the bench found, for those who write it down.

use crate::bench::{
    finished::Finished,
    pairs::Paired,
    plan::{Figure, Job, Plan, Tower},
    standing::{Kept, Spread},
};
use crate::dataset::split::ItemSet;

/// Everything that was found.
#[derive(Debug)]
pub struct Found {
    /// The list of rows.
    pub plan: Plan,
    /// All jobs of the list.
    pub jobs: Vec<Job>,
    /// The results at hand.
    pub kept: Kept,
    /// The comparisons at hand.
    pub pairs: Vec<Paired>,
}

impl Found {
    /// A figure of a tower on an item set, or of a baseline for all users; nothing if it was not measured.
    pub fn figure(&self, tower: &str, set: ItemSet, figure: Figure) -> Option<Spread> {
        match tower {
            "popularity" | "transitions" => self.baseline(tower, set, None, figure),
            _ => self
                .kept
                .mean(tower, set, |finished| of(finished, "artifact", figure)),
        }
    }

    /// A figure of a baseline on an item set and the first so many users.
    pub fn baseline(
        &self,
        name: &str,
        set: ItemSet,
        users: Option<usize>,
        figure: Figure,
    ) -> Option<Spread> {
        Spread::of(&[of(self.kept.any(set, users)?, name, figure)?])
    }

    /// The mean CPU time of one user, in microseconds, on set S.
    pub fn micros(&self, tower: &str, batch: usize) -> Option<f64> {
        let spread = self
            .kept
            .mean(tower, ItemSet::S, |finished| finished.micros(batch))?;
        Some(spread.mean)
    }

    /// The towers with a result on set S for all users, in the order of the list.
    pub fn everybody(&self) -> impl Iterator<Item = &Tower> {
        self.towers(ItemSet::S)
            .filter(|tower| tower.users.is_none())
    }

    /// The towers with a result on an item set, in the order of the list.
    pub fn towers(&self, set: ItemSet) -> impl Iterator<Item = &Tower> {
        let has_result = move |tower: &&Tower| !self.kept.of(tower.name(), set).is_empty();
        self.plan.towers.iter().filter(has_result)
    }
}

/// A figure of one result.
fn of(finished: &Finished, model: &str, figure: Figure) -> Option<f64> {
    let test = |seen_excluded| finished.figures(model, seen_excluded);
    match figure {
        Figure::Hr10 => test(true).map(|figures| figures.hr_10),
        Figure::Ndcg10 => test(true).map(|figures| figures.ndcg_10),
        Figure::Hr50 => test(true).map(|figures| figures.hr_50),
        Figure::Hr100 => test(true).map(|figures| figures.hr_100),
        Figure::Hr50SeenIncluded => test(false).map(|figures| figures.hr_50),
        Figure::Parameters => (model == "artifact").then_some(finished.parameters as f64),
        Figure::CpuMinutes => finished
            .training
            .cpu_minutes
            .filter(|_| model == "artifact"),
    }
}
