//! Popular items, for users whose tower cannot be reached or knows no interest of theirs.

use std::collections::BTreeSet;

use proto::v1::{
    ListPopularItemsRequest, ListPopularItemsResponse, catalog_service_client::CatalogServiceClient,
};
use tokio::time::Instant;

use crate::{
    answer::{Coverage, Degraded, Found},
    error::Error,
    exclusion::Exclusion,
    failure::Failure,
    fanout,
    filter::Filter,
    hit::{Hit, Source},
    query::Query,
    replica::Replica,
    scatter::Losses,
    topology::Held,
    user_tower::User,
};

/// The most popular items that a tower lists.
pub(crate) const MAX_K: usize = 1_000;

/// Answers with the most popular items of the generation, without the excluded.
///
/// What the user has seen is left out too where it is known: of an embedded `user`, or what came with the call. Nothing
/// is searched, and the coverage says so.
///
/// # Errors
/// If no item tower answers by `until`.
pub(crate) async fn popular(
    generation: &Held,
    user: Option<&User>,
    query: &Query,
    until: Instant,
) -> Result<Found, Error> {
    let known = user.into_iter().flat_map(|user| user.seen.iter().copied());
    let seen = (!query.allow_seen).then(|| query.who.items().chain(known));
    let excluded = query.exclude.iter().copied();
    let excluded = excluded.chain(seen.into_iter().flatten());
    let exclusion = Exclusion::new(generation.shards(), excluded);

    let wanted = query.k.saturating_add(exclusion.len()).min(MAX_K);
    let filter = query.filter.as_ref();
    let list = list(generation, wanted as u32, filter, &[], until).await?;
    let ids = list.items.into_iter().map(|(id, _)| id);
    let ids = ids.filter(|&id| !exclusion.contains(id));
    let hits = ids.take(query.k).map(popular_hit);
    let tower_down = user.is_none().then_some(Degraded::UserTowerDown);
    Ok(Found {
        hits: hits.collect(),
        coverage: Coverage {
            items_total: generation.manifest.items,
            items_eligible: list.eligible,
            shards_total: generation.shards(),
            ..Coverage::default()
        },
        degraded: tower_down
            .into_iter()
            .chain([Degraded::FallbackPopular])
            .chain(list.degraded)
            .collect(),
        cold_start: user.is_some_and(|user| user.cold_start),
        delta: None,
    })
}

/// An item that is popular.
pub(crate) fn popular_hit(id: u64) -> Hit {
    Hit {
        id,
        score: 0.0,
        interest: 0,
        source: Source::Popular,
    }
}

/// Popular items, most popular first.
#[derive(Debug)]
pub(crate) struct Popular {
    /// Items and their counts.
    pub(crate) items: Vec<(u64, u64)>,
    /// How many items could be listed.
    pub(crate) eligible: u64,
    /// Why shards are missing.
    pub(crate) degraded: BTreeSet<Degraded>,
}

/// Returns the `k` most popular items that pass the filter, of the `shards` named if any are.
///
/// Every item tower has the list of the most popular of all. What passes a filter only the holders of the shards know.
///
/// # Errors
/// If no item tower answers by `until`, or a member does not hold what it said it holds ([`Error::Stale`]).
pub(crate) async fn list(
    generation: &Held,
    k: u32,
    filter: Option<&Filter>,
    shards: &[u32],
    until: Instant,
) -> Result<Popular, Error> {
    let request = ListPopularItemsRequest {
        generation: generation.manifest.id.clone(),
        k,
        filter: filter.map(Filter::to_wire),
        shards: Vec::new(),
    };
    if filter.is_none() && shards.is_empty() {
        let asked = fanout::anyone(generation, until, |member| {
            let request = request.clone();
            async move { ask(&member, request, until).await }
        });
        return Ok(Popular::of([asked.await?]));
    }
    let all: Vec<u32> = (0..generation.shards()).collect();
    let shards = if shards.is_empty() { &all } else { shards };
    let gathered = fanout::gather(
        generation,
        &generation.calls.popular,
        until,
        shards.iter().copied(),
        |member, shards| {
            let request = ListPopularItemsRequest {
                shards,
                ..request.clone()
            };
            async move { ask(&member, request, until).await }
        },
    )
    .await;
    let losses = Losses::of(generation, gathered.lost)?;
    match losses.first {
        Some(failure) if gathered.answers.is_empty() => Err(failure),
        _ => {
            let mut popular = Popular::of(gathered.answers);
            let best_first = |a: &(u64, u64), b: &(u64, u64)| b.1.cmp(&a.1).then(a.0.cmp(&b.0));
            popular.items.sort_unstable_by(best_first);
            popular.items.truncate(k as usize);
            popular.degraded = losses.degraded;
            Ok(popular)
        }
    }
}

impl Popular {
    fn of(lists: impl IntoIterator<Item = ListPopularItemsResponse>) -> Self {
        let mut popular = Self {
            items: Vec::new(),
            eligible: 0,
            degraded: BTreeSet::new(),
        };
        for list in lists {
            popular.eligible += list.eligible;
            popular.items.extend(list.ids.into_iter().zip(list.counts));
        }
        popular
    }
}

async fn ask(
    member: &Replica,
    request: ListPopularItemsRequest,
    until: Instant,
) -> Result<ListPopularItemsResponse, Failure> {
    member
        .probe(request, until, |channel, request| async {
            CatalogServiceClient::new(channel)
                .list_popular_items(request)
                .await
        })
        .await
}
