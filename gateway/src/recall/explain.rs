//! Tells why items stand where they do: what of the history they are near to, and where they would stand without it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{Recaller, choose, score};
use crate::{
    answer::Candidate,
    budget::Budget,
    error::Error,
    exclusion::Exclusion,
    hit::Hit,
    items::{self, Item},
    query::Query,
    scatter::{self, Scattered, Search},
    topology::{Held, Variant, View},
    user_tower::{self, How, Interests, User},
    vectors,
};

/// Ranks beyond this are not told.
const DEEPEST: usize = 1_000;
/// Candidates that are explained if none are named.
const FIRST: usize = 3;
/// Users of one call to a user tower.
const USERS: usize = 16;
/// How many rankings are made at once.
const AT_ONCE: usize = 4;

/// What to explain.
#[derive(Debug)]
pub(crate) struct Question {
    /// The items; the first candidates if there are none.
    pub(crate) items: Vec<u64>,
    /// How many reasons each gets.
    pub(crate) reasons: usize,
}

/// Why items stand where they do.
#[derive(Debug)]
pub(crate) struct Explained {
    /// In the order asked; items that the generation has no vector of are left out.
    pub(crate) explanations: Vec<Explanation>,
    /// Those items.
    pub(crate) missing: Vec<u64>,
    /// The generation that answered.
    pub(crate) generation: Arc<Held>,
    /// Why it did.
    pub(crate) variant: Variant,
}

/// Why an item stands where it does.
#[derive(Debug)]
pub(crate) struct Explanation {
    /// The item and its score.
    pub(crate) candidate: Candidate,
    /// Its place, from 1; 0 if it is beyond [`DEEPEST`], or could not be returned.
    pub(crate) rank: u32,
    /// What of the history is nearest to it, nearest first.
    pub(crate) reasons: Vec<Reason>,
}

/// An item of the history, and what it does for another.
#[derive(Debug)]
pub(crate) struct Reason {
    /// The item.
    pub(crate) id: u64,
    /// Title and features, if asked for and found.
    pub(crate) item: Option<Item>,
    /// The cosine of both vectors.
    pub(crate) similarity: f32,
    /// How much the model looked at it, if it tells.
    pub(crate) attention: Option<f32>,
    /// The score had there been no event with this item; none if nothing could be searched with then.
    pub(crate) score_without: Option<f32>,
    /// The place then, as [`Explanation::rank`].
    pub(crate) rank_without: u32,
}

impl Recaller {
    /// Explains items of the recall that `query` is, by the order of scores.
    ///
    /// # Errors
    /// If there is no generation to answer from, or anybody who has to answer does not.
    pub(crate) async fn explain(
        &self,
        query: &Query,
        question: &Question,
        remaining: Duration,
    ) -> Result<Explained, Error> {
        let budget = Budget::new(remaining, self.soft_deadline);
        let attempt =
            |view: Arc<View>| async move { explain(&view, query, question, &budget).await };
        self.topology.with_view(budget.search, attempt).await
    }
}

async fn explain(
    view: &View,
    query: &Query,
    question: &Question,
    budget: &Budget,
) -> Result<Explained, Error> {
    let (generation, variant) = choose(view, query)?;
    let mut explained = Explained {
        explanations: Vec::new(),
        missing: Vec::new(),
        generation: generation.clone(),
        variant,
    };
    let how = How {
        reproducible: true,
        with_history: true,
    };
    let asked = vec![query.who.asked(None, Vec::new())];
    let mut users = user_tower::embed(view, generation, asked, how, budget.embed).await?;
    let Some(user) = users.pop().filter(|user| !user.interests.is_empty()) else {
        return Ok(explained);
    };
    let mut asking = Asking::new(generation, &user, query, budget);
    let (ranking, delta) = asking.ranking(&user.interests).await?;
    asking.as_of = Some(delta);
    let targets: Vec<u64> = match question.items.as_slice() {
        [] => ranking.iter().take(FIRST).map(|hit| hit.id).collect(),
        items => items.to_vec(),
    };
    if targets.is_empty() {
        return Ok(explained);
    }
    let scored = asking.scores(&user.interests, &targets).await?;
    let nearest = nearest(generation, &user, &targets, question.reasons, budget).await?;
    let without = asking.without(view, &user, &targets, &nearest).await?;

    for id in &targets {
        let Some(hit) = scored.get(id) else {
            explained.missing.push(*id);
            continue;
        };
        let reasons = nearest.get(id).into_iter().flatten();
        let reasons = reasons.map(|(near, similarity)| {
            let then = without.get(near);
            Reason {
                id: *near,
                item: None,
                similarity: *similarity,
                attention: attention(&user, *near, hit.interest),
                score_without: then.and_then(|then| Some(then.scores.get(id)?.score)),
                rank_without: then.map_or(0, |then| rank(&then.ranking, *id)),
            }
        });
        explained.explanations.push(Explanation {
            candidate: Candidate::bare(*hit),
            rank: rank(&ranking, *id),
            reasons: reasons.collect(),
        });
    }
    if query.with_item {
        describe(generation, &mut explained.explanations, budget).await;
    }
    Ok(explained)
}

/// Rankings of one recall, by other interests.
struct Asking<'a> {
    generation: &'a Held,
    exclusion: Exclusion,
    query: &'a Query,
    budget: &'a Budget,
    /// The delta that all rankings are of, once it is known.
    as_of: Option<u64>,
}

/// What is found by other interests.
struct Without {
    ranking: Vec<Hit>,
    scores: HashMap<u64, Hit>,
}

impl<'a> Asking<'a> {
    fn new(generation: &'a Held, user: &User, query: &'a Query, budget: &'a Budget) -> Self {
        let seen = (!query.allow_seen).then_some(&user.seen);
        let excluded = seen.into_iter().flatten().chain(&query.exclude).copied();
        Self {
            exclusion: Exclusion::new(generation.shards(), excluded),
            generation,
            query,
            budget,
            as_of: None,
        }
    }

    /// The best that could be returned, and the delta that they are of.
    async fn ranking(&self, interests: &Interests) -> Result<(Vec<Hit>, u64), Error> {
        let search = Search {
            interests,
            exclusion: &self.exclusion,
            filter: self.query.filter.as_ref(),
            k: DEEPEST,
            exact: true,
            fresh_only: false,
            as_of: self.as_of,
            steady: false,
        };
        let found = scatter::search(self.generation, search, self.budget).await?;
        self.check(&found)?;
        Ok((found.hits, found.coverage.delta))
    }

    /// Refuses what lacks items: it would tell wrong places.
    fn check(&self, found: &Scattered) -> Result<(), Error> {
        if found.degraded.is_empty() {
            return found.coverage.check(1.0);
        }
        Err(Error::Unreachable {
            member: format!("a shard of generation {}", self.generation.manifest.id),
            cause: "its items would be missing".to_owned(),
        })
    }

    async fn scores(
        &self,
        interests: &Interests,
        items: &[u64],
    ) -> Result<HashMap<u64, Hit>, Error> {
        let found = score::of_items(self.generation, interests, items, self.budget).await?;
        self.check(&found)?;
        Ok(found.hits.into_iter().map(|hit| (hit.id, hit)).collect())
    }

    /// Embeds the user without the events of each of the reasons, and ranks again.
    async fn without(
        &self,
        view: &View,
        user: &User,
        targets: &[u64],
        nearest: &BTreeMap<u64, Vec<(u64, f32)>>,
    ) -> Result<HashMap<u64, Without>, Error> {
        let reasons = nearest.values().flatten().map(|(id, _)| *id);
        let reasons: Vec<u64> = reasons.collect::<BTreeSet<_>>().into_iter().collect();
        let how = How {
            reproducible: true,
            with_history: false,
        };
        let mut users = Vec::with_capacity(reasons.len());
        for reasons in reasons.chunks(USERS) {
            let who = &self.query.who;
            let asked = reasons.iter().map(|id| who.asked(user.as_of, vec![*id]));
            let until = self.budget.search;
            let embedded = user_tower::embed(view, self.generation, asked.collect(), how, until);
            users.extend(embedded.await?);
        }
        let known = reasons.into_iter().zip(users);
        let known = known.filter(|(_, user)| !user.interests.is_empty());
        let rankings = known.map(|(id, user)| async move {
            let without = Without {
                ranking: self.ranking(&user.interests).await?.0,
                scores: self.scores(&user.interests, targets).await?,
            };
            Ok::<_, Error>((id, without))
        });
        stream::iter(rankings)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }
}

/// For each target the items of the history that are nearest to it, nearest first, with the cosines.
async fn nearest(
    generation: &Held,
    user: &User,
    targets: &[u64],
    most: usize,
    budget: &Budget,
) -> Result<BTreeMap<u64, Vec<(u64, f32)>>, Error> {
    let history: BTreeSet<u64> = user.history.iter().copied().collect();
    let wanted = history.iter().chain(targets).copied();
    let wanted: BTreeSet<u64> = wanted.collect();
    let vectors = vectors::fetch(generation, wanted, None, budget.search).await?;
    if let Some(failure) = vectors.losses.first {
        return Err(failure);
    }
    let vectors = vectors.of.into_iter();
    let directions: HashMap<u64, Vec<f32>> = vectors
        .map(|(id, vector)| (id, vectors::direction(&vector)))
        .collect();
    let mut nearest = BTreeMap::new();
    for target in targets {
        let Some(direction) = directions.get(target) else {
            continue;
        };
        let others = history.iter().filter(|id| *id != target);
        let mut near: Vec<(u64, f32)> = others
            .filter_map(|id| {
                let cosine = directions
                    .get(id)?
                    .iter()
                    .zip(direction)
                    .map(|(a, b)| a * b);
                Some((*id, cosine.sum()))
            })
            .collect();
        near.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        near.truncate(most);
        nearest.insert(*target, near);
    }
    Ok(nearest)
}

/// The place of an item, from 1; 0 if it is not there.
fn rank(ranking: &[Hit], id: u64) -> u32 {
    let place = ranking.iter().position(|hit| hit.id == id);
    place.map_or(0, |place| place as u32 + 1)
}

/// How much the model looked at the events of an item for an interest; none if it does not tell.
fn attention(user: &User, item: u64, interest: u32) -> Option<f32> {
    let told = user.attention.as_ref()?;
    let (values, _) = told.f32.as_chunks();
    let row = values
        .chunks_exact(told.items.len().max(1))
        .nth(interest as usize)?;
    let of_item = told.items.iter().zip(row).filter(|(id, _)| **id == item);
    Some(of_item.map(|(_, value)| f32::from_le_bytes(*value)).sum())
}

/// Adds titles and features, as far as they come.
async fn describe(generation: &Held, explanations: &mut [Explanation], budget: &Budget) {
    let ids = explanations.iter().flat_map(|explanation| {
        let reasons = explanation.reasons.iter().map(|reason| reason.id);
        reasons.chain([explanation.candidate.hit.id])
    });
    let ids: BTreeSet<u64> = ids.collect();
    let fetched = items::fetch(generation, ids, budget.items).await;
    for explanation in explanations {
        let item = |id: u64| fetched.items.get(&id).cloned();
        explanation.candidate.item = item(explanation.candidate.hit.id);
        for reason in &mut explanation.reasons {
            reason.item = item(reason.id);
        }
    }
}
