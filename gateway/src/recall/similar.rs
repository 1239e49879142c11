//! Finds items that are near to some items.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::Recaller;
use crate::{
    answer::{Candidate, Coverage, Degraded},
    budget::Budget,
    error::Error,
    exclusion::Exclusion,
    filter::Filter,
    items,
    scatter::{self, Search},
    topology::{Held, View},
    user_tower::Interests,
    vectors,
};

/// What items are to be near to.
#[derive(Debug)]
pub(crate) struct Nearness {
    /// The items; at least one.
    pub(crate) items: Vec<u64>,
    /// How many items are wanted.
    pub(crate) k: usize,
    /// Items to leave out beside those named.
    pub(crate) exclude: Vec<u64>,
    /// What the items must be; all, if it is none.
    pub(crate) filter: Option<Filter>,
    /// Compare every item that may be returned.
    pub(crate) exact: bool,
    /// Return titles and features.
    pub(crate) with_item: bool,
    /// The least coverage that is an answer, 0 to 1.
    pub(crate) min_coverage: f64,
    /// The generation to answer from; empty means the pinned one.
    pub(crate) generation: String,
}

/// Items that are near.
#[derive(Debug)]
pub(crate) struct Near {
    /// Best first; their interest is the place of the item that they are nearest to.
    pub(crate) candidates: Vec<Candidate>,
    /// Items named that the generation has no vector of.
    pub(crate) missing: BTreeSet<u64>,
    /// The generation that answered.
    pub(crate) generation: Arc<Held>,
    /// What was searched.
    pub(crate) coverage: Coverage,
    /// Why the answer may be worse than it could be.
    pub(crate) degraded: BTreeSet<Degraded>,
}

impl Recaller {
    /// Finds the items that are nearest to any of those named, which are left out.
    ///
    /// # Errors
    /// If there is no generation to answer from, a vector cannot be read, or nobody answers.
    pub(crate) async fn similar(
        &self,
        asked: &Nearness,
        remaining: Duration,
    ) -> Result<Near, Error> {
        let budget = Budget::new(remaining, self.soft_deadline);
        let attempt = |view: Arc<View>| async move { near(&view, asked, &budget).await };
        self.topology.with_view(budget.search, attempt).await
    }
}

async fn near(view: &View, asked: &Nearness, budget: &Budget) -> Result<Near, Error> {
    let generation = view.generation(&asked.generation)?;
    let named = asked.items.iter().copied();
    let vectors = vectors::fetch(generation, named.clone(), None, budget.embed).await?;
    if let Some(failure) = vectors.losses.first {
        return Err(failure);
    }
    // What is missing stands as zero, so that the others keep their places.
    let nothing = vec![0.0; generation.manifest.dim];
    let vector = |id| vectors.of.get(&id).unwrap_or(&nothing).as_slice();
    let interests = Interests::of(generation, named.clone().map(vector));
    let mut near = Near {
        candidates: Vec::new(),
        missing: named
            .clone()
            .filter(|id| !vectors.of.contains_key(id))
            .collect(),
        generation: generation.clone(),
        coverage: Coverage::default(),
        degraded: BTreeSet::new(),
    };
    if interests.is_empty() {
        return Ok(near);
    }
    let excluded = named.chain(asked.exclude.iter().copied());
    let exclusion = Exclusion::new(generation.shards(), excluded);
    let search = Search {
        interests: &interests,
        exclusion: &exclusion,
        filter: asked.filter.as_ref(),
        k: asked.k,
        exact: asked.exact,
        fresh_only: false,
        as_of: None,
        steady: false,
    };
    let found = scatter::search(generation, search, budget).await?;
    found.coverage.check(asked.min_coverage)?;
    (near.coverage, near.degraded) = (found.coverage, found.degraded);
    let (hits, with_item) = (found.hits, asked.with_item);
    let degraded = &mut near.degraded;
    near.candidates = items::candidates(generation, hits, with_item, budget.items, degraded).await;
    Ok(near)
}
