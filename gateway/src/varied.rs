//! Searches for more than is wanted, and chooses candidates that differ.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures::future::join_all;
use proto::v1::{Features, feature_value::Kind};

use tokio::task::spawn_blocking;

use crate::{
    answer::Degraded,
    budget::Budget,
    diversity::{Diversity, Prospect, Traits},
    error::Error,
    hit::Hit,
    items::{self, Item},
    scatter::{self, Scattered, Search},
    topology::Held,
    vectors,
};

/// So many times the candidates wanted are searched for, and at most so many.
const DEPTH: usize = 5;
const DEEPEST: usize = 1_000;
/// Comparisons that are made where they are asked for; more take too long for a thread that answers calls.
const IN_PLACE: usize = 50_000;

/// Searches all shards, and chooses the best `search.k` items by the diversity; `before` are the items of earlier pages.
///
/// # Errors
/// As [`scatter::search`].
pub(crate) async fn search(
    generation: &Held,
    search: Search<'_>,
    diversity: &Diversity,
    before: &[u64],
    budget: &Budget,
) -> Result<Scattered, Error> {
    let depth = (DEPTH * search.k).min(DEEPEST);
    let deep = |k| Search { k, ..search };
    let mut found = scatter::search(generation, deep(depth), budget).await?;
    let budget = &budget.further();
    let is_all = found.hits.len() < depth;
    if !is_all {
        add_lacking(generation, search, diversity, &mut found, budget).await?;
    }
    let mut chosen = choose(generation, search, diversity, before, &mut found, budget).await?;
    if chosen.len() < search.k && !is_all && depth < DEEPEST {
        let deeper = scatter::search(generation, deep(DEEPEST), budget).await;
        if let Some(deeper) = scatter::spare(deeper, &mut found.degraded)? {
            found.hits = deeper.hits;
            found.degraded.extend(deeper.degraded);
            found.newest = found.newest.max(deeper.newest);
            chosen = choose(generation, search, diversity, before, &mut found, budget).await?;
        }
    }
    found.hits = chosen;
    Ok(found)
}

/// Chooses among the hits that were found.
async fn choose(
    generation: &Held,
    search: Search<'_>,
    diversity: &Diversity,
    before: &[u64],
    found: &mut Scattered,
    budget: &Budget,
) -> Result<Vec<Hit>, Error> {
    let hits = &found.hits;
    let as_of = search.as_of.or(Some(found.coverage.delta));
    let known = Known::of(generation, diversity, hits, before, as_of, budget).await?;
    let prospects: Vec<Prospect> = hits
        .iter()
        .map(|hit| Prospect {
            hit: *hit,
            traits: known.traits(diversity, hit.id),
        })
        .collect();
    let before = before.iter().map(|id| known.traits(diversity, *id));
    let before: Vec<Traits> = before.collect();
    found.degraded.extend(known.degraded);
    let (diversity, k) = (diversity.clone(), search.k);
    if prospects.len() * k <= IN_PLACE {
        return Ok(diversity.choose(&prospects, &before, k));
    }
    let choosing = spawn_blocking(move || diversity.choose(&prospects, &before, k));
    choosing.await.map_err(|cause| Error::Unreachable {
        member: "the choice of candidates".to_owned(),
        cause: cause.to_string(),
    })
}

/// Adds candidates of the interests that have fewer than their quota among those found.
async fn add_lacking(
    generation: &Held,
    search: Search<'_>,
    diversity: &Diversity,
    found: &mut Scattered,
    budget: &Budget,
) -> Result<(), Error> {
    let rows: Vec<(u32, Vec<f32>)> = search.interests.rows().collect();
    let quota = diversity.quota.min(search.k / rows.len().max(1));
    let have = |number: u32| {
        let hits = found.hits.iter();
        hits.filter(|hit| hit.interest == number).count()
    };
    let lacking = rows
        .iter()
        .map(|(number, _)| *number)
        .filter(|number| have(*number) < quota);
    let as_of = search.as_of.or(Some(found.coverage.delta));
    let searches = lacking.map(|number| async move {
        let alone = search.interests.only(number);
        let alone = Search {
            interests: &alone,
            k: (DEPTH * quota).min(DEEPEST),
            as_of,
            ..search
        };
        scatter::search(generation, alone, budget).await
    });
    let known: HashSet<u64> = found.hits.iter().map(|hit| hit.id).collect();
    let mut more = HashMap::new();
    for alone in join_all(searches).await {
        if let Some(alone) = scatter::spare(alone, &mut found.degraded)? {
            let new = alone
                .hits
                .into_iter()
                .filter(|hit| !known.contains(&hit.id));
            more.extend(new.map(|hit| (hit.id, hit)));
            found.degraded.extend(alone.degraded);
        }
    }
    let vectors = vectors::fetch(generation, more.keys().copied(), as_of, budget.again).await?;
    found.degraded.extend(vectors.losses.degraded);
    for (id, vector) in vectors.of {
        let score = |row: &[f32]| row.iter().zip(&vector).map(|(a, b)| a * b).sum::<f32>();
        let scores = rows.iter().map(|(number, row)| (score(row), *number));
        // It counts for the interest that it scores best by.
        let best = scores.reduce(|best, next| if next.0 > best.0 { next } else { best });
        if let (Some((score, interest)), Some(hit)) = (best, more.get(&id)) {
            found.hits.push(Hit {
                score,
                interest,
                ..*hit
            });
        }
    }
    found.hits.sort_unstable();
    Ok(())
}

/// What is known of items, as far as the diversity asks for it.
struct Known {
    vectors: HashMap<u64, Vec<f32>>,
    items: HashMap<u64, Item>,
    degraded: BTreeSet<Degraded>,
}

impl Known {
    async fn of(
        generation: &Held,
        diversity: &Diversity,
        hits: &[Hit],
        before: &[u64],
        as_of: Option<u64>,
        budget: &Budget,
    ) -> Result<Self, Error> {
        let ids = || hits.iter().map(|hit| hit.id).chain(before.iter().copied());
        let mut known = Self {
            vectors: HashMap::new(),
            items: HashMap::new(),
            degraded: BTreeSet::new(),
        };
        if diversity.compares() {
            let vectors = vectors::fetch(generation, ids(), as_of, budget.again).await?;
            known.vectors = vectors.of;
            known.degraded = vectors.losses.degraded;
        }
        if !diversity.caps.is_empty() {
            let fetched = items::fetch(generation, ids(), budget.again).await;
            known.items = fetched.items;
            let missing = !fetched.lost.is_empty();
            known
                .degraded
                .extend(missing.then_some(Degraded::ItemsMissing));
        }
        Ok(known)
    }

    fn traits(&self, diversity: &Diversity, id: u64) -> Traits {
        let vector = self.vectors.get(&id);
        let features = self
            .items
            .get(&id)
            .and_then(|item| item.0.features.as_ref());
        let values = diversity
            .caps
            .iter()
            .map(|cap| values(features, &cap.attribute));
        Traits {
            direction: vector.map_or(Vec::new(), |vector| vectors::direction(vector)),
            values: values.collect(),
        }
    }
}

/// The values that an item has of an attribute, each once.
fn values(features: Option<&Features>, attribute: &str) -> Vec<String> {
    let value = features.and_then(|features| features.values.get(attribute));
    let mut values = match value.and_then(|value| value.kind.as_ref()) {
        None => Vec::new(),
        Some(Kind::Text(text)) => vec![text.clone()],
        Some(Kind::Number(number)) => vec![number.to_string()],
        Some(Kind::List(list)) => list.values.clone(),
    };
    values.sort_unstable();
    values.dedup();
    values
}
