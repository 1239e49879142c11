//! Passes calls that read or change the catalog on to the item towers that can answer them.

use std::{collections::BTreeSet, sync::Arc};

use proto::v1::{
    self as pb, catalog_service_client::CatalogServiceClient,
    catalog_service_server::CatalogService, item_ref::Name,
};
use tokio::time::Instant;
use tonic::{Request, Response, Status, transport::Channel};

use super::{deadline, names};
use crate::{
    error::Error,
    fallback, fanout,
    filter::Filter,
    items::{self, Item},
    topology::{Held, Topology, View},
};

/// The most items of one call.
const MAX_ITEMS: usize = 1_000;
/// Popular items listed when the caller does not say how many.
const POPULAR: u32 = 100;
/// The most popular items of one call.
const MAX_POPULAR: u32 = 1_000;

/// Passes calls on to the holders that `topology` knows.
#[derive(Debug)]
pub(crate) struct Service {
    topology: Arc<Topology>,
}

impl Service {
    pub(super) fn new(topology: Arc<Topology>) -> Self {
        Self { topology }
    }
}

impl Service {
    /// Lets any item tower take changes; if that cannot be reached, another one: the same changes twice are as good as once.
    async fn change<Q: Clone, A>(
        &self,
        request: Q,
        until: Instant,
        rpc: impl AsyncFn(CatalogServiceClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Error> {
        let (request, rpc) = (&request, &rpc);
        self.topology
            .with_view(until, |view| async move {
                fanout::anyone(view.generation("")?, until, |member| async move {
                    let call = |channel, request| rpc(CatalogServiceClient::new(channel), request);
                    member.probe(request.clone(), until, call).await
                })
                .await
            })
            .await
    }
}

#[tonic::async_trait]
impl CatalogService for Service {
    async fn upsert_items(
        &self,
        request: Request<pb::UpsertItemsRequest>,
    ) -> Result<Response<pb::UpsertItemsResponse>, Status> {
        let until = deadline(&request);
        let answer = self.change(request.into_inner(), until, async |mut towers, request| {
            towers.upsert_items(request).await
        });
        Ok(Response::new(answer.await?))
    }

    async fn delete_items(
        &self,
        request: Request<pb::DeleteItemsRequest>,
    ) -> Result<Response<pb::DeleteItemsResponse>, Status> {
        let until = deadline(&request);
        let answer = self.change(request.into_inner(), until, async |mut towers, request| {
            towers.delete_items(request).await
        });
        Ok(Response::new(answer.await?))
    }

    async fn get_items(
        &self,
        request: Request<pb::GetItemsRequest>,
    ) -> Result<Response<pb::GetItemsResponse>, Status> {
        let until = deadline(&request);
        let request = &request.into_inner();
        let ids = &names::ids("items", &request.items, MAX_ITEMS)?;
        let answer = self.topology.with_view(until, |view| async move {
            get_items(&view, request, ids, until).await
        });
        Ok(Response::new(answer.await?))
    }

    async fn list_popular_items(
        &self,
        request: Request<pb::ListPopularItemsRequest>,
    ) -> Result<Response<pb::ListPopularItemsResponse>, Status> {
        let until = deadline(&request);
        let request = &request.into_inner();
        let k = match request.k {
            0 => POPULAR,
            k if k <= MAX_POPULAR => k,
            k => {
                let description = format!("is {k}, at most {MAX_POPULAR} is allowed");
                return Err(Error::field("k", description).into());
            }
        };
        let answer = self.topology.with_view(until, |view| async move {
            let generation = view.generation(&request.generation)?;
            list_popular_items(generation, request, k, until).await
        });
        Ok(Response::new(answer.await?))
    }
}

/// Lists popular items; unlike a recall, it fails if any shard that has to be asked gives no answer.
async fn list_popular_items(
    generation: &Held,
    request: &pb::ListPopularItemsRequest,
    k: u32,
    until: Instant,
) -> Result<pb::ListPopularItemsResponse, Error> {
    let shards = generation.shards();
    if let Some(shard) = request.shards.iter().find(|shard| **shard >= shards) {
        let description = format!("has {shard}, the generation has {shards} shards");
        return Err(Error::field("shards", description));
    }
    let filter = request.filter.clone().and_then(Filter::new);
    let asked: BTreeSet<u32> = request.shards.iter().copied().collect();
    let asked: Vec<u32> = asked.into_iter().collect();
    let popular = fallback::list(generation, k, filter.as_ref(), &asked, until).await?;
    if !popular.degraded.is_empty() {
        return Err(Error::Unreachable {
            member: format!("a shard of generation {}", generation.manifest.id),
            cause: "its items would be missing".to_owned(),
        });
    }
    let (ids, counts) = popular.items.into_iter().unzip();
    Ok(pb::ListPopularItemsResponse {
        generation: generation.manifest.id.clone(),
        ids,
        counts,
        eligible: popular.eligible,
    })
}

/// Reads items; unlike a recall, it fails if any shard that may hold one of them gives no answer.
async fn get_items(
    view: &View,
    request: &pb::GetItemsRequest,
    ids: &[u64],
    until: Instant,
) -> Result<pb::GetItemsResponse, Error> {
    let generation = view.generation(&request.generation)?;
    let mut fetched = items::fetch(generation, ids.iter().copied(), until).await;
    if let Some((shard, failure)) = fetched.lost.pop() {
        let member = format!("shard {shard} of generation {}", generation.manifest.id);
        return Err(Error::of(&member, failure));
    }
    let mut answer = pb::GetItemsResponse::default();
    for (asked, id) in request.items.iter().zip(ids) {
        match fetched.items.get(id) {
            Some(item) if is_named(item, asked) => answer.items.push(item.0.clone()),
            _ => answer.missing.push(asked.clone()),
        }
    }
    Ok(answer)
}

/// Whether the item is the one asked for: in a catalog with numeric ids, a key may make the id of some item.
fn is_named(Item(item): &Item, asked: &pb::ItemRef) -> bool {
    match &asked.name {
        Some(Name::Key(key)) => item.key == *key,
        _ => true,
    }
}
