//! The list of rows: `onnx/bench.toml` and the recipes that it names.

use std::{collections::HashSet, fs, path::Path};

use serde::Deserialize;

use crate::{bench::error::Error, dataset::split::ItemSet, model::recipe::Recipe};

/// What is trained, compared and held against a goal.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Towers, in the order of the tables.
    pub towers: Vec<Tower>,
    /// Towers compared user by user, and by their CPU time in one run.
    #[serde(default)]
    pub pairs: Vec<Pair>,
    /// Figures with a name of their own in the report.
    #[serde(default)]
    pub figures: Vec<Named>,
}

/// A recipe and how often it is trained.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tower {
    /// Name of the recipe, which is also its file's.
    pub recipe: String,
    /// What the row is called, where it is not called as the recipe.
    #[serde(default)]
    pub name: Option<String>,
    /// Trains and tests on the first so many users only.
    #[serde(default)]
    pub users: Option<usize>,
    /// Heading of the table it stands in.
    pub family: String,
    /// What it tries.
    pub idea: String,
    /// The row that it adds one idea to.
    #[serde(default)]
    pub base: Option<String>,
    /// Seeds of the runs.
    #[serde(default = "one_seed")]
    pub seeds: Vec<u64>,
    /// Item sets of the runs: the first with every seed, the others with the first seed.
    #[serde(default = "headline")]
    pub sets: Vec<ItemSet>,
    /// Whether its learning curve is drawn.
    #[serde(default)]
    pub curve: bool,
}

/// Two towers side by side, on set S, with each one's first seed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The tower in question.
    pub of: String,
    /// What it is compared with.
    pub over: String,
    /// Name of the row for the ratio of their CPU time for one user, in batches of 8; none if nobody asks.
    #[serde(default)]
    pub cpu_row: Option<String>,
    /// What the ratio should be.
    #[serde(default)]
    pub goal: String,
}

/// A figure with a name of its own.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The row's name.
    pub row: String,
    /// The tower, or `popularity` or `transitions`; the mean over its seeds on set S counts.
    pub tower: String,
    /// What of it.
    pub figure: Figure,
    /// A tower whose figure this one is subtracted from.
    #[serde(default)]
    pub below: Option<String>,
    /// `>= 0.3`, or `> other_row`: the named row's figure.
    #[serde(default)]
    pub goal: String,
}

/// What of a tower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// HR@10, seen items excluded.
    Hr10,
    /// NDCG@10, seen items excluded.
    Ndcg10,
    /// HR@50, seen items excluded.
    Hr50,
    /// HR@100, seen items excluded.
    Hr100,
    /// HR@50, seen items not excluded.
    Hr50SeenIncluded,
    /// Trained values.
    Parameters,
    /// CPU time of training and validation.
    CpuMinutes,
}

/// One training of a row: a recipe with its item set and seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The tower's name.
    pub tower: String,
    /// The recipe as it is trained.
    pub recipe: Recipe,
    /// Trains and tests on the first so many users only.
    pub users: Option<usize>,
}

impl Job {
    /// The name of the job's files: `default-S-seed1`.
    pub fn id(&self) -> String {
        let (set, seed) = (self.recipe.items, self.recipe.training.seed);
        format!("{}-{set:?}-seed{seed}", self.tower)
    }
}

impl Tower {
    /// What the row is called.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.recipe)
    }
}

impl Plan {
    /// Reads the list.
    ///
    /// # Errors
    /// [`Error::Plan`] naming the row that is there twice, or that another one names and is not there.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        let plan: Self = toml::from_str(&text).map_err(Error::file(path))?;
        plan.check()?;
        Ok(plan)
    }

    /// Returns the jobs of the towers named, or of all if none is, in the order of the list.
    ///
    /// # Errors
    /// [`Error::Io`] naming the recipe that is missing, [`Error::Plan`] if one is called otherwise than its file, or a name
    /// in `only` is no tower's.
    pub fn jobs(&self, recipes: &Path, only: &[String]) -> Result<Vec<Job>, Error> {
        self.check_names(only.iter())?;
        let mut jobs = Vec::new();
        for tower in &self.towers {
            if !only.is_empty() && !only.iter().any(|name| name == tower.name()) {
                continue;
            }
            let recipe = Recipe::read(&recipes.join(format!("{}.toml", tower.recipe)))?;
            if recipe.name != tower.recipe {
                return Err(Error::Plan(format!(
                    "{}.toml is called {}",
                    tower.recipe, recipe.name
                )));
            }
            for (number, &items) in tower.sets.iter().enumerate() {
                let seeds = if number == 0 { tower.seeds.len() } else { 1 };
                for &seed in &tower.seeds[..seeds] {
                    let mut recipe = recipe.clone();
                    recipe.items = items;
                    recipe.training.seed = seed;
                    jobs.push(Job {
                        tower: tower.name().to_owned(),
                        recipe,
                        users: tower.users,
                    });
                }
            }
        }
        Ok(jobs)
    }

    fn check(&self) -> Result<(), Error> {
        let mut names = HashSet::new();
        for tower in &self.towers {
            let name = tower.name();
            if !names.insert(name) {
                return Err(Error::Plan(format!("{name} is there twice")));
            }
            if tower.seeds.is_empty() || tower.sets.is_empty() {
                return Err(Error::Plan(format!("{name} has no seed or no set")));
            }
        }
        let paired = |name: &str| {
            let mut pairs = self.pairs.iter();
            pairs.any(|pair| [&pair.of, &pair.over].contains(&&name.to_owned()))
        };
        let mut towers = self.towers.iter();
        if let Some(tower) = towers.find(|tower| tower.users.is_some() && paired(tower.name())) {
            return Err(Error::Plan(format!(
                "{} has some users only, it cannot be paired",
                tower.name()
            )));
        }
        let baselines = ["popularity", "transitions"];
        let named = self.figures.iter().flat_map(|figure| {
            let tower = Some(&figure.tower).filter(|name| !baselines.contains(&name.as_str()));
            tower.into_iter().chain(&figure.below)
        });
        let bases = self.towers.iter().filter_map(|tower| tower.base.as_ref());
        let pairs = self.pairs.iter().flat_map(|pair| [&pair.of, &pair.over]);
        self.check_names(bases.chain(pairs).chain(named))
    }

    /// Checks that every name is a tower's.
    fn check_names<'a>(&self, mut names: impl Iterator<Item = &'a String>) -> Result<(), Error> {
        let is_missing = |name: &&String| self.towers.iter().all(|tower| tower.name() != *name);
        match names.find(is_missing) {
            Some(name) => Err(Error::Plan(format!("{name} is named, but is no row"))),
            None => Ok(()),
        }
    }
}

fn one_seed() -> Vec<u64> {
    vec![1]
}

fn headline() -> Vec<ItemSet> {
    vec![ItemSet::S]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn repository(path: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
    }

    #[test]
    fn every_row_of_the_repository_has_its_recipe() {
        let plan = Plan::read(&repository("bench.toml")).unwrap();
        let jobs = plan.jobs(&repository("towers"), &[]).unwrap();
        let ids: HashSet<String> = jobs.iter().map(Job::id).collect();
        assert_eq!(ids.len(), jobs.len());
        assert!(ids.contains("default-S-seed3") && ids.contains("default-R-seed1"));
    }

    fn refused(text: &str, expected: &str) {
        let plan: Plan = toml::from_str(text).unwrap();
        let found = plan
            .check()
            .and_then(|()| plan.jobs(&repository("towers"), &[]).map(|_| ()));
        let error = found.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_name_that_is_no_row_is_refused() {
        let row = |name: &str, more: &str| {
            format!("[[towers]]\nrecipe = \"{name}\"\nfamily = \"f\"\nidea = \"i\"\n{more}\n")
        };
        refused(&row("default", "base = \"nothing\""), "nothing is named");
        refused(
            &(row("default", "") + &row("default", "")),
            "default is there twice",
        );
        refused(
            &(row("default", "") + &row("youtubednn-sum", "name = \"default\"")),
            "default is there twice",
        );
        refused(&row("no-such-recipe", ""), "no-such-recipe.toml");
        refused(&row("default", "seeds = []"), "default has no seed");
    }
}
