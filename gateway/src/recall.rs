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
    last::LastUsers,
    query::Query,
    scatter,
    topology::{Held, Topology, View},
    user_tower::{self, User},
};

/// Answers recalls.
#[derive(Debug)]
pub(crate) struct Recaller {
    topology: Arc<Topology>,
    last: Arc<LastUsers>,
    soft_deadline: f64,
}

impl Recaller {
    /// Answers by what `topology` sees; after the share `soft_deadline` of a call's time, of what has come. Where a user cannot be
    /// embedded, by what `last` has.
    pub(crate) fn new(topology: Arc<Topology>, last: Arc<LastUsers>, soft_deadline: f64) -> Self {
        Self {
            topology,
            last,
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
        let attempt = |view: Arc<View>| async move { self.attempt(&view, query, &budget).await };
        self.topology.with_view(budget.search, attempt).await
    }

    /// Recalls by what `view` shows; everything asked names the one generation chosen here.
    async fn attempt(&self, view: &View, query: &Query, budget: &Budget) -> Result<Answer, Error> {
        let (generation, variant) = view.choose(&query.generation, &query.experiment_unit)?;
        let user = self.user(view, generation, query, budget).await?;
        let embedded = Instant::now();
        let found = match &user {
            Asked::Answered(user) if user.interests.is_empty() => {
                fallback::popular(generation, Some(user), query, budget.search).await?
            }
            Asked::Answered(user) | Asked::Last(user) => {
                personal(generation, user, query, budget).await?
            }
            Asked::Nobody => fallback::popular(generation, None, query, budget.search).await?,
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
        degraded.extend(user.degraded(query));
        Ok(Answer {
            candidates,
            generation: generation.manifest.id.clone(),
            variant,
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

    /// Asks for the user; where nobody answers, for what was said last.
    async fn user(
        &self,
        view: &View,
        generation: &Held,
        query: &Query,
        budget: &Budget,
    ) -> Result<Asked, Error> {
        match user_tower::embed(view, generation, query, budget.embed).await {
            Ok(user) => {
                let user = Arc::new(user);
                if let Some(id) = query.who.stored() {
                    self.last.note(id, &user);
                }
                Ok(Asked::Answered(user))
            }
            Err(cause) if cause.is_unanswered() => {
                debug!(%cause, "another answer stands in");
                let space = &generation.manifest.space;
                let last = query.who.stored().and_then(|id| self.last.get(id, space));
                let last = last.filter(|user| !user.interests.is_empty());
                Ok(last.map_or(Asked::Nobody, Asked::Last))
            }
            Err(error) => Err(error),
        }
    }
}

/// What came of asking for a user.
enum Asked {
    /// The user as they are.
    Answered(Arc<User>),
    /// The user as they were.
    Last(Arc<User>),
    /// Nothing.
    Nobody,
}

impl Asked {
    /// Why the answer may be worse for it; what popular items stand in for says so itself.
    fn degraded(&self, query: &Query) -> impl Iterator<Item = Degraded> {
        let down = matches!(self, Self::Last(_)).then_some(Degraded::UserTowerDown);
        let stale = match self {
            Self::Answered(user) => user.stale_history,
            Self::Last(_) => true,
            Self::Nobody => query.who.has_token(),
        };
        down.into_iter()
            .chain(stale.then_some(Degraded::StaleHistory))
    }
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

    let shards = scatter::search(generation, &user.interests, &exclusion, query, budget).await?;
    Ok(Found {
        hits: shards.hits,
        coverage: shards.coverage,
        degraded: shards.degraded,
        cold_start: user.cold_start,
    })
}
