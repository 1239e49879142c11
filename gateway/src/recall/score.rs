//! Scores items that the caller names for one user.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{Asked, Recaller, choose};
use crate::{
    answer::{Candidate, Degraded},
    budget::Budget,
    error::Error,
    exclusion::Exclusion,
    filter::Filter,
    items,
    query::Query,
    scatter::{self, Search},
    topology::{Held, Variant, View},
    user_tower::Interests,
};

/// Scores of items.
#[derive(Debug)]
pub(crate) struct Scored {
    /// Best first; those that the generation has.
    pub(crate) candidates: Vec<Candidate>,
    /// The generation that answered.
    pub(crate) generation: Arc<Held>,
    /// Why it did.
    pub(crate) variant: Variant,
    /// Why the answer may be worse than it could be.
    pub(crate) degraded: BTreeSet<Degraded>,
    /// Whether nothing was known of the user.
    pub(crate) cold_start: bool,
}

impl Recaller {
    /// Scores the `items` for the user, whatever the query says of what may be returned.
    ///
    /// # Errors
    /// If there is no generation to answer from, or nobody to answer.
    pub(crate) async fn score(
        &self,
        query: &Query,
        items: &[u64],
        remaining: Duration,
    ) -> Result<Scored, Error> {
        let budget = Budget::new(remaining, self.soft_deadline);
        let attempt =
            |view: Arc<View>| async move { self.attempt_score(&view, query, items, &budget).await };
        self.topology.with_view(budget.search, attempt).await
    }

    async fn attempt_score(
        &self,
        view: &View,
        query: &Query,
        items: &[u64],
        budget: &Budget,
    ) -> Result<Scored, Error> {
        let (generation, variant) = choose(view, query)?;
        let asked = self.user(view, generation, query, budget).await?;
        let user = match &asked {
            Asked::Answered(user) | Asked::Last(user) => user,
            Asked::Nobody => {
                return Err(Error::Unreachable {
                    member: "the user's tower".to_owned(),
                    cause: "nothing can be scored without it".to_owned(),
                });
            }
        };
        let mut degraded: BTreeSet<_> = asked.degraded(query).collect();
        let mut hits = Vec::new();
        if !user.interests.is_empty() {
            let found = of_items(generation, &user.interests, items, budget).await?;
            degraded.extend(found.degraded);
            hits = found.hits;
        }
        let with_item = query.with_item;
        let candidates =
            items::candidates(generation, hits, with_item, budget.items, &mut degraded).await;
        Ok(Scored {
            candidates,
            generation: generation.clone(),
            variant,
            degraded,
            cold_start: user.cold_start,
        })
    }
}

/// Finds some items, wherever they rank.
pub(super) async fn of_items(
    generation: &Held,
    interests: &Interests,
    items: &[u64],
    budget: &Budget,
) -> Result<scatter::Scattered, Error> {
    let (nothing, only) = (Exclusion::new(generation.shards(), []), Filter::only(items));
    let search = Search {
        interests,
        exclusion: &nothing,
        filter: Some(&only),
        k: items.len(),
        exact: true,
        fresh_only: false,
        as_of: None,
        steady: false,
    };
    scatter::search(generation, search, budget).await
}
