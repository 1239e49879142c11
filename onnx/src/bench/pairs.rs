//! Two towers side by side: the same users' hits, and CPU time in alternation.

use std::{fs, io, path::Path};

use encoder::artifact::Artifact;
use serde::{Deserialize, Serialize};

use crate::{
    bench::{
        error::Error,
        finished::{self, Finished},
        machine::{self, Machine},
        make::Work,
        plan::{Job, Pair},
        serving::{self, Effort, Load},
        standing::Kept,
    },
    dataset::{Dataset, split::ItemSet},
    evaluate,
};

/// The batch size at which CPU time is compared.
pub const BATCH: usize = 8;
/// A hit is a rank below one of these.
const DEPTHS: [u32; 3] = [10, 50, 100];

/// What was found of two towers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// The tower in question, and what it is compared with.
    pub towers: [String; 2],
    /// Their artifacts' embedding spaces.
    pub spaces: [String; 2],
    /// The day, `YYYY-MM-DD`.
    pub date: String,
    /// The machine.
    pub machine: Machine,
    /// Whose test items they rank high, for several depths.
    pub hits: Vec<Hits>,
    /// CPU time of the first for one user over that of the second: least, median and most of the pairs.
    pub cpu_ratio: Option<[f64; 3]>,
}

/// Test users by which tower ranks their held-out item among the first `depth`, seen items excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hits {
    /// How many ranks are a hit.
    pub depth: u32,
    /// Users of both.
    pub both: usize,
    /// Users of the first alone.
    pub first_only: usize,
    /// Users of the second alone.
    pub second_only: usize,
    /// Users of neither.
    pub neither: usize,
}

impl Hits {
    /// Counts two towers' ranks of the same users.
    fn count(depth: u32, first: &[Option<u32>], second: &[Option<u32>]) -> Self {
        let is_hit = |rank: &Option<u32>| rank.is_some_and(|rank| rank < depth);
        let count = |expected: (bool, bool)| {
            let users = first.iter().zip(second);
            let hits = users.map(|(first, second)| (is_hit(first), is_hit(second)));
            hits.filter(|&found| found == expected).count()
        };
        Self {
            depth,
            both: count((true, true)),
            first_only: count((true, false)),
            second_only: count((false, true)),
            neither: count((false, false)),
        }
    }

    /// How likely so uneven a split of the users that differ is if the towers are equally good (McNemar's exact test, two-sided).
    pub fn chance(&self) -> f64 {
        let differ = self.first_only + self.second_only;
        let fewer = self.first_only.min(self.second_only);
        let mut log = -(differ as f64) * 2.0_f64.ln();
        let mut tail = log.exp();
        for k in 0..fewer {
            log += ((differ - k) as f64).ln() - ((k + 1) as f64).ln();
            tail += log.exp();
        }
        (2.0 * tail).min(1.0)
    }
}

impl Paired {
    /// Reads what was found before of these two artifacts; nothing if there is nothing.
    ///
    /// # Errors
    /// [`Error::File`] if there is a file that cannot be read.
    pub fn read(runs: &Path, pair: &Pair, kept: &Kept) -> Result<Option<Self>, Error> {
        let path = runs.join(file(pair));
        let found: Self = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(Error::file(&path))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(&path)(e)),
        };
        let space = |tower: &str| kept.first(tower).map(|(_, finished)| &finished.space);
        let spaces = [space(&pair.of), space(&pair.over)];
        Ok((spaces == found.spaces.each_ref().map(Some)).then_some(found))
    }

    /// Compares two towers and keeps what was found; nothing if one of them is not at hand.
    ///
    /// # Errors
    /// [`Error::Row`] with what failed.
    pub fn measure(
        runs: &Path,
        pair: &Pair,
        kept: &Kept,
        dataset: &Dataset,
        work: &Work,
        effort: Effort,
    ) -> Result<Option<Self>, Error> {
        let (Some(first), Some(second)) = (kept.first(&pair.of), kept.first(&pair.over)) else {
            return Ok(None);
        };
        if !is_at_hand(first, work) || !is_at_hand(second, work) {
            return Ok(None);
        }
        let [one, other] = [first, second].map(|(job, _)| work.artifact(job));
        let id = file(pair);
        let ranks = |dir: &Path| evaluate::ranks(dir, dataset, ItemSet::S).map_err(Error::row(&id));
        let (ours, theirs) = (ranks(&one)?, ranks(&other)?);
        let hits = DEPTHS.map(|depth| Hits::count(depth, &ours, &theirs));
        let found = Self {
            towers: [pair.of.clone(), pair.over.clone()],
            spaces: [first.1.space.clone(), second.1.space.clone()],
            date: machine::today(),
            machine: Machine::this(),
            hits: hits.to_vec(),
            cpu_ratio: ratio(&one, &other, dataset, effort).map_err(Error::row(&id))?,
        };
        finished::write_json(&runs.join(&id), &found)?;
        Ok(Some(found))
    }
}

fn file(pair: &Pair) -> String {
    format!("{}-over-{}.json", pair.of, pair.over)
}

/// Whether the artifact that a row was measured on is still here.
fn is_at_hand((job, finished): &(Job, Finished), work: &Work) -> bool {
    Artifact::open(&work.artifact(job)).is_ok_and(|artifact| artifact.space() == finished.space)
}

/// Measures both in alternation, and returns least, median and most of the ratios.
fn ratio(
    one: &Path,
    other: &Path,
    dataset: &Dataset,
    effort: Effort,
) -> Result<Option<[f64; 3]>, evaluate::Error> {
    let (one, other) = (Load::open(one, dataset)?, Load::open(other, dataset)?);
    let mut ratios = Vec::new();
    for _ in 0..effort.repeats {
        let ours = one.micros(BATCH, effort.cpu_seconds)?;
        let theirs = other.micros(BATCH, effort.cpu_seconds)?;
        ratios.extend(ours.zip(theirs).map(|(ours, theirs)| ours / theirs));
    }
    Ok(serving::spread(&ratios))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chance(first_only: usize, second_only: usize) -> f64 {
        Hits {
            depth: 10,
            both: 3,
            first_only,
            second_only,
            neither: 4,
        }
        .chance()
    }

    #[test]
    fn a_rank_below_the_depth_is_a_hit() {
        let first = [Some(9), Some(0), Some(10), None];
        let second = [Some(3), Some(50), Some(2), None];
        let hits = Hits::count(10, &first, &second);
        assert_eq!(
            (hits.both, hits.first_only, hits.second_only, hits.neither),
            (1, 1, 1, 1)
        );
    }

    #[test]
    fn an_uneven_split_is_unlikely_to_be_chance() {
        assert_eq!(chance(0, 0), 1.0);
        assert_eq!(chance(5, 5), 1.0);
        // 2 (1 + 10) / 2^10.
        assert!((chance(1, 9) - 22.0 / 1024.0).abs() < 1e-12);
        assert!((chance(9, 1) - chance(1, 9)).abs() < 1e-15);
        assert!(chance(700, 500) < 1e-7);
    }
}
