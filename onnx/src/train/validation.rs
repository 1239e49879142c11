//! Ranks the held-out item of every user among all items by the model in memory, for the choice of the best epoch.

use crate::dataset::Dataset;
use crate::dataset::split::{Sequence, Split};
use crate::kernels::simd::{dot, vectorized};
use crate::metrics::{self, Case, Figures};
use crate::model::embed::Encoded;
use crate::model::error::Error;
use crate::model::trained::Trained;
use crate::model::vocabulary::RESERVED;
use crate::sampling::raw;

/// Users with the item held out of each.
pub(crate) struct Held<'a> {
    users: Vec<Encoded>,
    cases: Vec<Case<'a>>,
    items: usize,
}

impl<'a> Held<'a> {
    /// The items before the last, after the training part.
    pub(crate) fn validation(model: &Trained, dataset: &Dataset, split: &'a Split) -> Self {
        Self::new(model, dataset, split, 2)
    }

    /// The last items, after all the others.
    pub(crate) fn test(model: &Trained, dataset: &Dataset, split: &'a Split) -> Self {
        Self::new(model, dataset, split, 1)
    }

    fn new(model: &Trained, dataset: &Dataset, split: &'a Split, back: usize) -> Self {
        let evaluated = || {
            split
                .users
                .iter()
                .filter(|sequence| sequence.is_evaluated())
        };
        let encode = |sequence: &Sequence| {
            let user = raw(dataset, split, sequence, sequence.items.len() - back);
            model.encode(&user, model.recipe.history)
        };
        let case = |sequence: &'a Sequence| {
            let (history, held) = sequence.items.split_at(sequence.items.len() - back);
            Case {
                target: Some(held[0]),
                history,
            }
        };
        Self {
            users: evaluated().map(encode).collect(),
            cases: evaluated().map(case).collect(),
            items: split.items.len(),
        }
    }

    /// Ranks all of them, what the user has seen left out; all zero if there is nobody.
    pub(crate) fn figures(&self, model: &Trained) -> Result<Figures, Error> {
        let dim = model.recipe.dim();
        let size = model.recipe.interests() * dim;
        let vectors = model.vectors(&self.users)?;
        let table = model.item_table()?.flatten_all()?.to_vec1::<f32>()?;
        let items = &table[RESERVED * dim..];
        let rankings = metrics::rank(&self.cases, self.items, |case, scores| {
            score(&vectors[case * size..][..size], dim, items, scores);
        });
        Ok(rankings.seen_excluded.figures())
    }
}

vectorized! {
    /// The best over a user's interests, as serving scores.
    fn score(user: &[f32], dim: usize, items: &[f32], scores: &mut [f32]) {
        for (score, item) in scores.iter_mut().zip(items.chunks_exact(dim)) {
            let interests = user.chunks_exact(dim).map(|interest| dot(interest, item));
            *score = interests.fold(f32::NEG_INFINITY, f32::max);
        }
    }
}
