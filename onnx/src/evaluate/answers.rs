//! What exact search recommends to some users before their test events, to compare a server's answers with.

use std::path::Path;

use encoder::artifact::Artifact;

use crate::{
    dataset::{
        Dataset,
        split::{ItemSet, Sequence, Split},
    },
    evaluate::{Error, vectors::Vectors},
    metrics,
};

/// What one user is recommended.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Index into [`Dataset::users`].
    pub user: u32,
    /// Item ids and scores, best first, the items of the user's history left out.
    pub items: Vec<(u64, f32)>,
}

/// Recommends `k` items of `set` to `users` users spread evenly over those who have a test event.
///
/// # Errors
/// An artifact that cannot be opened or run, or a dataset that has nothing to do with it.
pub fn answers(
    dir: &Path,
    dataset: &Dataset,
    set: ItemSet,
    users: usize,
    k: usize,
) -> Result<Vec<Answer>, Error> {
    let artifact = Artifact::open(dir)?;
    let everything = Split::new(dataset, ItemSet::R);
    let split = Split::new(dataset, set);
    let evaluated: Vec<&Sequence> = split
        .users
        .iter()
        .filter(|user| user.is_evaluated())
        .collect();
    let spread = |rank: usize| evaluated[rank * evaluated.len() / users];
    let chosen: Vec<&Sequence> = match evaluated.len() > users {
        true => (0..users).map(spread).collect(),
        false => evaluated,
    };

    let mut vectors = Vectors::open(&artifact, dataset, &everything)?;
    let scorer = vectors.scorer(&split, &chosen)?;
    let mut scores = vec![0.0; split.items.len()];
    let recommend = |(case, user): (usize, &&Sequence)| {
        scorer.score(case, &mut scores);
        for &item in &user.items[..user.items.len() - 1] {
            scores[item as usize] = f32::NEG_INFINITY;
        }
        let id = |item: u32| dataset.items[split.items[item as usize] as usize].id;
        let best = metrics::top(&scores, k).into_iter();
        Answer {
            user: user.user,
            items: best.map(|item| (id(item), scores[item as usize])).collect(),
        }
    };
    Ok(chosen.iter().enumerate().map(recommend).collect())
}
