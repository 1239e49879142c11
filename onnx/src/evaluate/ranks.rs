//! Where an artifact ranks each user's test item, to compare two artifacts user by user.

use std::path::Path;

use encoder::artifact::Artifact;

use crate::{
    dataset::{
        Dataset,
        split::{ItemSet, Sequence, Split},
    },
    evaluate::{Error, test, vectors::Vectors},
    metrics::{self, Case},
};

/// Returns the rank from 0 of each evaluated user's last event among the items of `set`, seen items excluded; nothing for one
/// that is not offered.
///
/// # Errors
/// An artifact that cannot be opened or run, or a dataset that has nothing to do with it.
pub fn ranks(dir: &Path, dataset: &Dataset, set: ItemSet) -> Result<Vec<Option<u32>>, Error> {
    let artifact = Artifact::open(dir)?;
    let everything = Split::new(dataset, ItemSet::R);
    let split = Split::new(dataset, set);
    let users: Vec<&Sequence> = split
        .users
        .iter()
        .filter(|user| user.is_evaluated())
        .collect();
    let cases: Vec<Case<'_>> = users.iter().map(|user| test(user)).collect();
    let scorer = Vectors::open(&artifact, dataset, &everything)?.scorer(&split, &users)?;
    let score = |case: usize, scores: &mut [f32]| scorer.score(case, scores);
    let rankings = metrics::rank(&cases, split.items.len(), score);
    Ok(rankings.seen_excluded.ranks)
}
