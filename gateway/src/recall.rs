//! One recall, in order: embed the user, search the shards, merge their hits, add titles, say what that covers.

pub(crate) mod explain;
pub(crate) mod score;
pub(crate) mod similar;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::debug;

use crate::{
    answer::{self, Answer, Candidate, Degraded, Found, Timings},
    blend,
    budget::Budget,
    error::Error,
    exclusion::Exclusion,
    fallback, items,
    last::LastUsers,
    query::Query,
    scatter::{self, Search},
    token::{Keys, Then, Token},
    topology::{Held, Topology, Variant, View},
    user_tower::{self, How, User},
    varied,
};

/// How many candidates all pages of a listing have.
pub(crate) const DEEPEST: usize = 1_000;

/// Answers recalls.
#[derive(Debug)]
pub(crate) struct Recaller {
    topology: Arc<Topology>,
    last: Arc<LastUsers>,
    keys: Arc<Keys>,
    soft_deadline: f64,
}

impl Recaller {
    /// Answers by what `topology` sees; after the share `soft_deadline` of a call's time, of what has come. Where a user cannot be
    /// embedded, by what `last` has. Tokens are sealed with `keys`.
    pub(crate) fn new(
        topology: Arc<Topology>,
        last: Arc<LastUsers>,
        keys: Arc<Keys>,
        soft_deadline: f64,
    ) -> Self {
        Self {
            topology,
            last,
            keys,
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
        let (generation, variant) = choose(view, query)?;
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
        let (hits, with_item) = (found.hits, query.with_item);
        let candidates =
            items::candidates(generation, hits, with_item, budget.items, &mut degraded).await;
        degraded.extend(user.degraded(query));
        let (next_page_token, recall_token) = match (&user, found.delta) {
            (Asked::Answered(user), Some(delta)) if is_whole(&degraded) => {
                self.tokens(generation, user, delta, &candidates, query)
            }
            _ => Default::default(),
        };
        Ok(Answer {
            next_page_token,
            recall_token,
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

    /// The tokens that go on from an answer and that make it again, if they are asked for.
    fn tokens(
        &self,
        generation: &Held,
        user: &User,
        delta: u64,
        candidates: &[Candidate],
        query: &Query,
    ) -> (String, String) {
        let (Some(digests), Some(as_of)) = (query.tokens, user.as_of) else {
            return Default::default();
        };
        let hits = || candidates.iter().map(|candidate| candidate.hit);
        let before = query.then.as_ref().map_or(&[][..], |then| &then.returned);
        let mut then = Then {
            generation: generation.manifest.id.clone(),
            user: as_of,
            delta,
            returned: before.to_vec(),
        };
        let again = Token {
            then: Then {
                returned: Vec::new(),
                ..then.clone()
            },
            request: digests.request,
            answer: answer::digest(hits()),
        };
        then.returned.extend(hits().map(|hit| hit.id));
        let goes_on = candidates.len() == query.k && then.returned.len() < DEEPEST;
        let next = Token {
            then,
            request: digests.listing,
            answer: 0,
        };
        let next = goes_on.then(|| self.keys.seal(&next));
        (next.unwrap_or_default(), self.keys.seal(&again))
    }

    /// Asks for the user; where nobody answers, for what was said last.
    async fn user(
        &self,
        view: &View,
        generation: &Held,
        query: &Query,
        budget: &Budget,
    ) -> Result<Asked, Error> {
        let as_of = query.then.as_ref().map(|then| then.user);
        let asked = vec![query.who.asked(as_of, Vec::new())];
        let how = How {
            reproducible: query.reproducible,
            with_history: false,
        };
        let embedded = user_tower::embed(view, generation, asked, how, budget.embed).await;
        match embedded.map(|mut users| users.pop().map(Arc::new)) {
            Ok(None) => Ok(Asked::Nobody),
            Ok(Some(user)) => {
                // A generation that is named may be of another space, or of long ago.
                if let Some(id) = query.who.stored()
                    && query.generation.is_empty()
                {
                    self.last.note(id, &user);
                }
                Ok(Asked::Answered(user))
            }
            // What was said last is not of then.
            Err(cause) if cause.is_unanswered() && query.then.is_none() => {
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

/// Whether the candidates are what they should be, though titles may be missing.
fn is_whole(degraded: &BTreeSet<Degraded>) -> bool {
    degraded
        .iter()
        .all(|reason| *reason == Degraded::ItemsMissing)
}

/// The generation that is to answer, and why.
fn choose<'a>(view: &'a View, query: &Query) -> Result<(&'a Arc<Held>, Variant), Error> {
    let chosen = view.choose(&query.generation, &query.experiment_unit);
    chosen.map_err(|error| match (error, &query.then) {
        (Error::GenerationNotHeld { asked, .. }, Some(then)) if asked == then.generation => {
            Error::GenerationGone { generation: asked }
        }
        (error, _) => error,
    })
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
    let weighted = query
        .diversity
        .as_ref()
        .filter(|diversity| !diversity.weights.is_empty())
        .map(|diversity| user.interests.weighted(&diversity.weights));
    let interests = weighted.as_ref().unwrap_or(&user.interests);
    if interests.is_empty() {
        return fallback::popular(generation, Some(user), query, budget.search).await;
    }
    let seen = (!query.allow_seen).then_some(&user.seen);
    let before = query.then.as_ref().map_or(&[][..], |then| &then.returned);
    let excluded = seen.into_iter().flatten();
    let excluded = excluded.chain(&query.exclude).chain(before).copied();
    let exclusion = Exclusion::new(generation.shards(), excluded);

    let search = Search {
        interests,
        exclusion: &exclusion,
        filter: query.filter.as_ref(),
        k: query.k,
        exact: query.exact,
        fresh_only: false,
        // A generation that was made since holds later deltas.
        as_of: query
            .then
            .as_ref()
            .map(|then| then.delta.max(generation.manifest.updates_from)),
        steady: query.tokens.is_some(),
    };
    let look = async |search, budget| match &query.diversity {
        Some(diversity) => varied::search(generation, search, diversity, before, budget).await,
        None => scatter::search(generation, search, budget).await,
    };
    let mut found = look(search, budget).await?;
    if query.tokens.is_some() && found.newest > found.coverage.delta {
        // Some shards had taken up more than others: all of them as of one delta.
        let as_of = Some(found.newest);
        let again = look(Search { as_of, ..search }, &budget.further()).await;
        found = scatter::spare(again, &mut found.degraded)?.unwrap_or(found);
    }
    let delta = (found.newest == found.coverage.delta).then_some(found.newest);
    if query.popular + query.fresh > 0 {
        let search = Search {
            as_of: search.as_of.or(delta.filter(|_| query.tokens.is_some())),
            ..search
        };
        let (hits, degraded) = blend::page(generation, search, found.hits, query, budget).await?;
        found.hits = hits;
        found.degraded.extend(degraded);
    }
    Ok(Found {
        hits: found.hits,
        coverage: found.coverage,
        degraded: found.degraded,
        cold_start: user.cold_start,
        delta,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::user_tower::Who;

    #[test]
    fn what_a_token_goes_on_from_may_be_gone_and_what_a_caller_names_is_not_held() {
        let mut query = Query {
            who: Who::new("u".to_owned(), None, String::new()),
            k: 1,
            exclude: Vec::new(),
            allow_seen: false,
            filter: None,
            exact: false,
            reproducible: true,
            with_item: false,
            min_coverage: 0.0,
            generation: "old".to_owned(),
            experiment_unit: String::new(),
            diversity: None,
            popular: 0,
            fresh: 0,
            tokens: None,
            then: None,
        };
        let refused = |query: &Query| choose(&View::default(), query).unwrap_err();
        assert!(matches!(refused(&query), Error::GenerationNotHeld { .. }));
        query.then = Some(Then {
            generation: "old".to_owned(),
            ..Then::default()
        });
        assert!(matches!(refused(&query), Error::GenerationGone { .. }));
    }
}
