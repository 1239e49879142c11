//! Reads titles and features of items from the members that hold their shards.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::future::join_all;
use generation::partition;
use proto::v1::{GetItemsRequest, ItemRef, catalog_service_client::CatalogServiceClient, item_ref};
use tokio::time::Instant;

use crate::{
    answer::{Candidate, Degraded},
    failure::Failure,
    fanout,
    hit::Hit,
    replica::ANSWER_BYTES,
    topology::Held,
};

/// The most items that a member reads in one call.
const MOST: usize = 1_000;

/// An item as its tower tells it; the gateway only passes it on.
#[derive(Clone, Debug)]
pub(crate) struct Item(pub(crate) proto::v1::Item);

/// Items by id, and why some could not be asked for.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The items that their towers have.
    pub(crate) items: HashMap<u64, Item>,
    /// Why shards gave no answer by the deadline.
    pub(crate) lost: Vec<(u32, Failure)>,
}

/// Makes candidates of hits: with titles and features, as far as they come by `until`, if `with_item`; `degraded` says if any are
/// missing.
pub(crate) async fn candidates(
    generation: &Held,
    hits: Vec<Hit>,
    with_item: bool,
    until: Instant,
    degraded: &mut BTreeSet<Degraded>,
) -> Vec<Candidate> {
    if !with_item {
        return hits.into_iter().map(Candidate::bare).collect();
    }
    let mut fetched = fetch(generation, hits.iter().map(|hit| hit.id), until).await;
    let describe = |hit: Hit| Candidate {
        hit,
        item: fetched.items.remove(&hit.id),
    };
    let candidates: Vec<Candidate> = hits.into_iter().map(describe).collect();
    let missing = candidates.iter().any(Candidate::is_bare);
    degraded.extend(missing.then_some(Degraded::ItemsMissing));
    candidates
}

/// Asks the holders for the items `ids`; items that the generation does not have are simply absent.
pub(crate) async fn fetch(
    generation: &Held,
    ids: impl IntoIterator<Item = u64>,
    until: Instant,
) -> Fetched {
    let ids: Vec<u64> = ids.into_iter().collect();
    let parts = ids
        .chunks(MOST)
        .map(|ids| fetch_some(generation, ids, until));
    let mut fetched = Fetched {
        items: HashMap::with_capacity(ids.len()),
        lost: Vec::new(),
    };
    for part in join_all(parts).await {
        fetched.items.extend(part.items);
        fetched.lost.extend(part.lost);
    }
    fetched
}

async fn fetch_some(generation: &Held, ids: &[u64], until: Instant) -> Fetched {
    let mut by_shard = BTreeMap::<_, Vec<_>>::new();
    for &id in ids {
        let shard = partition::shard_of(id, generation.shards());
        by_shard.entry(shard).or_default().push(ItemRef {
            name: Some(item_ref::Name::Id(id)),
        });
    }
    let shards: Vec<_> = by_shard.keys().copied().collect();
    let gathered = fanout::gather(
        generation,
        &generation.calls.items,
        until,
        shards,
        |member, shards| {
            let request = GetItemsRequest {
                generation: generation.manifest.id.clone(),
                items: shards
                    .iter()
                    .filter_map(|shard| by_shard.get(shard))
                    .flatten()
                    .cloned()
                    .collect(),
            };
            async move {
                member
                    .probe(request, until, |channel, request| async {
                        CatalogServiceClient::new(channel)
                            .max_decoding_message_size(ANSWER_BYTES)
                            .get_items(request)
                            .await
                    })
                    .await
            }
        },
    )
    .await;
    let items = gathered.answers.into_iter().flat_map(|answer| answer.items);
    Fetched {
        items: items.map(|item| (item.id, Item(item))).collect(),
        lost: gathered.lost,
    }
}
