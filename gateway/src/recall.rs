//! One recall, in order: embed the user, search the shards, merge their hits, add titles, say what that covers.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::debug;

use crate::{
    answer::{Answer, Candidate, Degraded, Found, Timings},
    budget::Budget,
    error::Error,
    exclusion::Exclusion,
    fallback, items,
    merge::merge,
    query::Query,
    scatter,
    topology::{Held, Topology, View},
    user_tower::{self, User},
};

/// Answers recalls.
#[derive(Debug)]
pub(crate) struct Recaller {
    topology: Arc<Topology>,
    soft_deadline: f64,
}

impl Recaller {
    /// Answers by what `topology` sees; after the share `soft_deadline` of a call's time, of what has come.
    pub(crate) fn new(topology: Arc<Topology>, soft_deadline: f64) -> Self {
        Self {
            topology,
            soft_deadline,
        }
    }

    /// Recalls items from one generation, end to end, within the time `remaining`.
    ///
    /// A member that has moved on since the last look costs one fresh look and one more attempt, from the start.
    ///
    /// # Errors
    /// If there is no generation to answer from, nobody to answer, or less to answer from than the query needs.
    pub(crate) async fn recall(&self, query: &Query, remaining: Duration) -> Result<Answer, Error> {
        let budget = Budget::new(remaining, self.soft_deadline);
        let attempt = |view: Arc<View>| async move { attempt(&view, query, &budget).await };
        self.topology.with_view(budget.search, attempt).await
    }
}

/// Recalls by what `view` shows; everything asked names the one generation chosen here.
async fn attempt(view: &View, query: &Query, budget: &Budget) -> Result<Answer, Error> {
    let generation = view.generation(&query.generation)?;
    let user = user_tower::embed(view, generation, query, budget.embed).await;
    let embedded = Instant::now();
    let stale = match &user {
        Ok(user) => user.stale_history,
        Err(_) => query.who.has_token(),
    };

    let found = match user {
        Ok(user) if user.interests.is_empty() => {
            fallback::popular(generation, Some(&user), query, budget.search).await?
        }
        Ok(user) => personal(generation, &user, query, budget).await?,
        Err(cause) if cause.is_unanswered() => {
            debug!(%cause, "popular items stand in");
            fallback::popular(generation, None, query, budget.search).await?
        }
        Err(error) => return Err(error),
    };
    found.coverage.check(query.min_coverage)?;
    let searched = Instant::now();

    let mut degraded = found.degraded;
    let candidates = if query.with_item {
        items::describe(generation, found.hits, budget.items).await
    } else {
        found.hits.into_iter().map(Candidate::bare).collect()
    };
    if query.with_item && candidates.iter().any(Candidate::is_bare) {
        degraded.insert(Degraded::ItemsMissing);
    }
    if stale {
        degraded.insert(Degraded::StaleHistory);
    }
    Ok(Answer {
        candidates,
        generation: generation.manifest.id.clone(),
        space: generation.manifest.space.clone(),
        coverage: found.coverage,
        degraded,
        cold_start: found.cold_start,
        timings: Timings {
            embed: embedded - budget.start,
            search: searched - embedded,
            total: budget.start.elapsed(),
        },
    })
}

/// Finds the items closest to the user's interests, over all shards that answer by the soft deadline.
async fn personal(
    generation: &Held,
    user: &User,
    query: &Query,
    budget: &Budget,
) -> Result<Found, Error> {
    let seen = (!query.allow_seen).then_some(&user.seen);
    let excluded = seen.into_iter().flatten().chain(&query.exclude).copied();
    let exclusion = Exclusion::new(generation.shards(), excluded);

    let shards = scatter::search(
        generation,
        &user.interests,
        &exclusion,
        query,
        budget.search,
    )
    .await?;
    Ok(Found {
        hits: merge(shards.lists, query.k),
        coverage: shards.coverage,
        degraded: shards.degraded,
        cold_start: user.cold_start,
    })
}
