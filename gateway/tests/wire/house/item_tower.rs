//! An item tower with canned scores, which refuses what a true one would refuse.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Arc, Mutex, MutexGuard},
};

use generation::{manifest::Manifest, partition};
use proto::v1::{
    self as pb,
    catalog_service_server::{CatalogService, CatalogServiceServer},
    item_ref::Name,
    search_service_server::{SearchService, SearchServiceServer},
};
use service::{health::Health, status};
use tonic::{Request, Response, Status, service::Routes};

use super::{ITEMS, peer::Peer, score, shard_items};

const SEARCH: &str = "twotower.v1.SearchService";

/// A running item tower.
pub(crate) struct ItemTower {
    state: Arc<Mutex<State>>,
    health: Health,
    peer: Peer,
}

/// What it holds, how it behaves, and what was asked of it.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) held: BTreeMap<String, Held>,
    /// Searches get no answer.
    pub(crate) hangs: bool,
    /// Searches are refused as if the generation were not held, though it is listed.
    pub(crate) refuses: bool,
    /// Searches that got none.
    pub(crate) hung: usize,
    /// Reading items fails.
    pub(crate) no_items: bool,
    /// Searches that were answered or refused.
    pub(crate) searches: Vec<pb::SearchRequest>,
}

/// A generation's shards.
pub(crate) struct Held {
    space: String,
    shards: Vec<u32>,
    of: u32,
}

impl ItemTower {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::default());
        let health = Health::new(&[SEARCH]);
        let service = Service(Arc::clone(&state));
        let routes = Routes::new(SearchServiceServer::new(service.clone()))
            .add_service(CatalogServiceServer::new(service));
        let peer = Peer::start(routes, health.clone());
        Self {
            state,
            health,
            peer,
        }
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://{}", self.peer.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn hold(&self, manifest: &Manifest, shards: &[u32]) {
        let held = Held {
            space: manifest.space.clone(),
            shards: shards.to_vec(),
            of: manifest.shards.len() as u32,
        };
        self.state().held.insert(manifest.id.clone(), held);
        self.health.set(SEARCH, true);
    }

    pub(crate) fn drop_generation(&self, id: &str) {
        self.state().held.remove(id);
    }

    /// Says that it does not serve, and goes on serving.
    pub(crate) fn drain(&self) {
        self.health.set(SEARCH, false);
    }

    pub(crate) fn kill(&mut self) {
        self.peer.kill();
    }
}

#[derive(Clone)]
struct Service(Arc<Mutex<State>>);

impl State {
    fn get(&self, generation: &str) -> Result<&Held, Status> {
        self.held.get(generation).ok_or_else(|| {
            let message = format!("generation {generation:?} is not held");
            status::failed_precondition(status::GENERATION_NOT_HELD, message)
        })
    }

    fn search(&mut self, request: pb::SearchRequest) -> Result<pb::SearchResponse, Status> {
        self.searches.push(request.clone());
        let asked = if self.refuses {
            ""
        } else {
            &request.generation
        };
        let held = self.get(asked)?;
        let interests = request.interests.unwrap_or_default();
        if interests.space != held.space {
            return Err(status::failed_precondition(
                status::SPACE_MISMATCH,
                format!("space {} is not {}", interests.space, held.space),
            ));
        }
        let shards = request.shards.iter().map(|query| {
            assert!(
                held.shards.contains(&query.shard),
                "never asked for what it lacks"
            );
            assert!(query.exclude.is_sorted());
            let is_mine = |id: &u64| partition::shard_of(*id, held.of) == query.shard;
            assert!(
                query.exclude.iter().all(is_mine),
                "only its own excluded ids"
            );
            let items = shard_items(query.shard, held.of);
            let count = items.len() as u64;
            let eligible: Vec<_> = items
                .into_iter()
                .filter(|id| !query.exclude.contains(id))
                .collect();
            let ids: Vec<_> = eligible.iter().copied().take(request.k as usize).collect();
            pb::ShardHits {
                shard: query.shard,
                scores: ids
                    .iter()
                    .map(|&id| score(&request.generation, id))
                    .collect(),
                interests: vec![0; ids.len()],
                ids,
                eligible: eligible.len() as u64,
                searched: eligible.len() as u64,
                exact: request.exact,
                items: count,
                ..Default::default()
            }
        });
        Ok(pb::SearchResponse {
            shards: shards.collect(),
        })
    }
}

#[tonic::async_trait]
impl SearchService for Service {
    async fn search(
        &self,
        request: Request<pb::SearchRequest>,
    ) -> Result<Response<pb::SearchResponse>, Status> {
        let hangs = {
            let mut state = self.0.lock().unwrap();
            state.hung += usize::from(state.hangs);
            state.hangs
        };
        if hangs {
            pending::<()>().await;
        }
        let answer = self.0.lock().unwrap().search(request.into_inner());
        answer.map(Response::new)
    }

    async fn get_vectors(
        &self,
        _: Request<pb::GetVectorsRequest>,
    ) -> Result<Response<pb::GetVectorsResponse>, Status> {
        Err(Status::unimplemented("no test asks for vectors"))
    }

    async fn list_shards(
        &self,
        _: Request<pb::ListShardsRequest>,
    ) -> Result<Response<pb::ListShardsResponse>, Status> {
        let state = self.0.lock().unwrap();
        let generations = state
            .held
            .iter()
            .rev()
            .map(|(id, held)| pb::HeldGeneration {
                generation: id.clone(),
                space: held.space.clone(),
                shards: held
                    .shards
                    .iter()
                    .map(|&shard| pb::HeldShard {
                        shard,
                        items: shard_items(shard, held.of).len() as u64,
                        ..Default::default()
                    })
                    .collect(),
                delta: 0,
            });
        Ok(Response::new(pb::ListShardsResponse {
            generations: generations.collect(),
        }))
    }
}

#[tonic::async_trait]
impl CatalogService for Service {
    async fn upsert_items(
        &self,
        request: Request<pb::UpsertItemsRequest>,
    ) -> Result<Response<pb::UpsertItemsResponse>, Status> {
        let items = request.into_inner().items;
        let first = items.first().map_or(0, |item| item.id);
        match first {
            0 => Err(status::invalid("items", "has 0, must have 1 to 1000")),
            delta => Ok(Response::new(pb::UpsertItemsResponse {
                delta,
                not_embedded: Vec::new(),
            })),
        }
    }

    async fn delete_items(
        &self,
        request: Request<pb::DeleteItemsRequest>,
    ) -> Result<Response<pb::DeleteItemsResponse>, Status> {
        let delta = request.into_inner().items.len() as u64;
        Ok(Response::new(pb::DeleteItemsResponse { delta }))
    }

    async fn get_items(
        &self,
        request: Request<pb::GetItemsRequest>,
    ) -> Result<Response<pb::GetItemsResponse>, Status> {
        let state = self.0.lock().unwrap();
        if state.no_items {
            return Err(Status::internal("no items today"));
        }
        let request = request.into_inner();
        let held = state.get(&request.generation)?;
        let mut answer = pb::GetItemsResponse::default();
        for asked in request.items {
            let Some(Name::Id(id)) = asked.name else {
                panic!("the gateway asks by id");
            };
            let shard = partition::shard_of(id, held.of);
            assert!(
                held.shards.contains(&shard),
                "never asked for what it lacks"
            );
            if (1..=ITEMS).contains(&id) {
                answer.items.push(pb::Item {
                    id,
                    title: format!("item {id}"),
                    ..Default::default()
                });
            } else {
                answer.missing.push(asked);
            }
        }
        Ok(Response::new(answer))
    }

    async fn list_popular_items(
        &self,
        request: Request<pb::ListPopularItemsRequest>,
    ) -> Result<Response<pb::ListPopularItemsResponse>, Status> {
        let state = self.0.lock().unwrap();
        let request = request.into_inner();
        state.get(&request.generation)?;
        let ids: Vec<_> = (1..=ITEMS).rev().take(request.k as usize).collect();
        Ok(Response::new(pb::ListPopularItemsResponse {
            generation: request.generation,
            counts: ids.clone(),
            ids,
            eligible: ITEMS,
        }))
    }
}
