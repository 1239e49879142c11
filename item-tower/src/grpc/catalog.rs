//! Reads and changes the catalog.

use std::{collections::BTreeSet, sync::Arc};

use encoder::features::CatalogItem;
use prost::Message as _;
use proto::v1::{self as pb, catalog_service_server::CatalogService, item_ref::Name};
use service::{blocking::Blocking, status};
use tonic::{Request, Response, Status};

use crate::{
    catalog::{self, Asked},
    changing::{Changing, ITEMS_LIMIT},
    error::Error,
    grpc::{features, filter},
    shards::Shards,
};

/// Popular items listed when the caller does not say how many.
const POPULAR_DEFAULT: usize = 100;
/// The most popular items of one call.
const POPULAR_LIMIT: usize = 1_000;
/// The longest answer: what a gateway decodes.
const ANSWER_BYTES: usize = 32 << 20;

/// Reads the catalog of what `shards` holds, and changes it.
pub(crate) struct Service {
    pub(crate) shards: Arc<Shards>,
    pub(crate) blocking: Blocking,
    pub(crate) changing: Changing,
}

#[tonic::async_trait]
impl CatalogService for Service {
    async fn upsert_items(
        &self,
        request: Request<pb::UpsertItemsRequest>,
    ) -> Result<Response<pb::UpsertItemsResponse>, Status> {
        let items = request.into_inner().items.into_iter().map(from_wire);
        let upserted = self.changing.upsert(items.collect()).await?;
        Ok(Response::new(pb::UpsertItemsResponse {
            delta: upserted.delta,
            not_embedded: upserted.not_embedded,
        }))
    }

    async fn delete_items(
        &self,
        request: Request<pb::DeleteItemsRequest>,
    ) -> Result<Response<pb::DeleteItemsResponse>, Status> {
        let items = asked(request.into_inner().items)?;
        let delta = self.changing.delete(items).await?;
        Ok(Response::new(pb::DeleteItemsResponse { delta }))
    }

    async fn get_items(
        &self,
        request: Request<pb::GetItemsRequest>,
    ) -> Result<Response<pb::GetItemsResponse>, Status> {
        let request = request.into_inner();
        let asked = asked(request.items)?;
        let snapshot = self.shards.snapshot();
        let held = Arc::clone(snapshot.get(&request.generation)?);
        let read = self
            .blocking
            .run(move || catalog::read(&held, asked))
            .await
            .map_err(Error::from)??;
        let answer = pb::GetItemsResponse {
            items: read.items.into_iter().map(item).collect(),
            missing: read.missing.into_iter().map(pb::ItemRef::from).collect(),
        };
        let bytes = answer.encoded_len();
        if bytes > ANSWER_BYTES {
            return Err(status::invalid(
                "items",
                format!(
                    "make an answer of {bytes} bytes, it may have at most {ANSWER_BYTES}; ask for fewer"
                ),
            ));
        }
        Ok(Response::new(answer))
    }

    async fn list_popular_items(
        &self,
        request: Request<pb::ListPopularItemsRequest>,
    ) -> Result<Response<pb::ListPopularItemsResponse>, Status> {
        let request = request.into_inner();
        let k = match request.k as usize {
            0 => POPULAR_DEFAULT,
            k if k <= POPULAR_LIMIT => k,
            k => return Err(out_of_bounds("k", k, POPULAR_LIMIT).into()),
        };
        let snapshot = self.shards.snapshot();
        let held = Arc::clone(snapshot.get(&request.generation)?);
        let filter = filter::from_wire(request.filter)?;
        let generation = held.manifest.id.clone();
        let shards: BTreeSet<u32> = request.shards.into_iter().collect();
        let popular = self
            .blocking
            .run(move || catalog::popular(&held, k, filter.as_ref(), &shards))
            .await
            .map_err(Error::from)??;
        let (ids, counts) = popular.items.into_iter().unzip();
        Ok(Response::new(pb::ListPopularItemsResponse {
            generation,
            ids,
            counts,
            eligible: popular.eligible,
        }))
    }
}

/// Reads the names off the wire.
fn asked(items: Vec<pb::ItemRef>) -> Result<Vec<Asked>, Error> {
    if items.len() > ITEMS_LIMIT {
        return Err(out_of_bounds("items", items.len(), ITEMS_LIMIT));
    }
    let name = |item: pb::ItemRef| match item.name {
        Some(Name::Id(id)) => Ok(Asked::Id(id)),
        Some(Name::Key(key)) => Ok(Asked::Key(key)),
        None => Err(Error::Field {
            field: "items",
            description: "has one that names neither id nor key".to_owned(),
        }),
    };
    items.into_iter().map(name).collect()
}

fn out_of_bounds(field: &'static str, found: usize, limit: usize) -> Error {
    Error::Field {
        field,
        description: format!("is {found}, may be at most {limit}"),
    }
}

fn from_wire(item: pb::Item) -> CatalogItem {
    CatalogItem {
        id: item.id,
        key: Some(item.key).filter(|key| !key.is_empty()),
        title: item.title,
        popularity: 0,
        features: features::from_wire(item.features),
    }
}

fn item(item: CatalogItem) -> pb::Item {
    pb::Item {
        id: item.id,
        key: item.key.unwrap_or_default(),
        title: item.title,
        features: Some(features::to_wire(item.features)),
    }
}

impl From<Asked> for pb::ItemRef {
    fn from(asked: Asked) -> Self {
        Self {
            name: Some(match asked {
                Asked::Id(id) => Name::Id(id),
                Asked::Key(key) => Name::Key(key),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_named_at_the_limit_are_taken_and_one_more_is_refused() {
        let named = |count: u64| {
            let items = (0..count).map(|id| pb::ItemRef::from(Asked::Id(id)));
            let asked = asked(items.collect()).map_err(|refused| refused.to_string());
            asked.map(|asked| asked.len())
        };
        assert_eq!(named(1_000), Ok(1_000));
        let over = "items: is 1001, may be at most 1000";
        assert_eq!(named(1_001), Err(over.to_owned()));
    }
}
