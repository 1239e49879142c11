//! Popular items, for users whose tower cannot be reached or knows no interest of theirs.

use proto::v1::{
    ListPopularItemsRequest, ListPopularItemsResponse, catalog_service_client::CatalogServiceClient,
};
use tokio::time::Instant;

use crate::{
    answer::{Coverage, Degraded, Found},
    error::Error,
    exclusion::Exclusion,
    hit::{Hit, Source},
    query::Query,
    replica::{Failure, Replica},
    topology::Held,
    user_tower::User,
};

/// The most popular items that a tower lists.
const MAX_K: usize = 1_000;

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
    let list = list(generation, wanted as u32, until).await?;
    let ids = list.ids.into_iter().filter(|&id| !exclusion.contains(id));
    let hits = ids.take(query.k).map(|id| Hit {
        id,
        score: 0.0,
        interest: 0,
        source: Source::Popular,
    });
    let items_total = generation.manifest.items;
    let tower_down = user.is_none().then_some(Degraded::UserTowerDown);
    Ok(Found {
        hits: hits.collect(),
        coverage: Coverage {
            items_total,
            items_eligible: items_total,
            shards_total: generation.shards(),
            ..Coverage::default()
        },
        degraded: tower_down
            .into_iter()
            .chain([Degraded::FallbackPopular])
            .collect(),
        cold_start: user.is_some_and(|user| user.cold_start),
    })
}

/// Asks any item tower for the `k` most popular items, and another one if the first cannot be reached.
///
/// # Errors
/// If no item tower answers by `until`.
pub(crate) async fn list(
    generation: &Held,
    k: u32,
    until: Instant,
) -> Result<ListPopularItemsResponse, Error> {
    let ask = async |member: &Replica| {
        let request = ListPopularItemsRequest {
            generation: generation.manifest.id.clone(),
            k,
        };
        member
            .probe(request, until, |channel, request| async {
                CatalogServiceClient::new(channel)
                    .list_popular_items(request)
                    .await
            })
            .await
    };
    let Some(first) = generation.anyone(None) else {
        return Err(Error::Unreachable {
            member: "every item tower".to_owned(),
            cause: format!("none holds generation {}", generation.manifest.id),
        });
    };
    let mut answer = ask(first).await;
    if answer.as_ref().is_err_and(Failure::may_try_another)
        && let Some(second) = generation.anyone(Some(first))
    {
        answer = ask(second).await;
    }
    answer.map_err(|failure| Error::of("an item tower", failure))
}
