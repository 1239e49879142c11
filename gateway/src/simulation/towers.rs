//! Towers that answer by what is true, and note what a gateway must never ask.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use generation::placement;
use proto::v1::{
    self as pb,
    catalog_service_server::{CatalogService, CatalogServiceServer},
    generation_service_server::{GenerationService, GenerationServiceServer},
    search_service_server::{SearchService, SearchServiceServer},
    user_tower_service_server::{UserTowerService, UserTowerServiceServer},
};
use service::{health::Health, status};
use tokio_stream::{Empty, Pending};
use tonic::{Request, Response, Status, Streaming, service::Routes, transport::Server};
use tonic_health::pb::health_server::HealthServer;

use super::{
    network,
    truth::{DIM, ITEMS, Truth},
};

/// What a gateway asked and should not have, and how often it asked a shard for everything.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) wrong: Vec<String>,
    pub(super) searches: u64,
    /// Shards that were asked once more for more in one recall.
    pub(super) again: u64,
    /// How many items each shard was asked for, in this recall.
    pub(super) asked: BTreeMap<u32, u32>,
}

/// One member of a story.
#[derive(Clone)]
pub(super) struct Tower {
    truth: Arc<Truth>,
    /// Its number over all members, item towers first.
    member: usize,
    began: Duration,
    notes: Arc<Mutex<Notes>>,
}

/// Serves a member until it crashes.
pub(super) async fn serve(
    truth: Arc<Truth>,
    member: usize,
    notes: Arc<Mutex<Notes>>,
) -> turmoil::Result {
    let items = truth.item_towers.len();
    let service = ["twotower.v1.SearchService", "twotower.v1.UserTowerService"];
    let service = service[usize::from(member >= items)];
    let health = Health::new(&[service]);
    let began = turmoil::sim_elapsed().unwrap_or_default();
    let tower = Tower {
        truth,
        member,
        began,
        notes,
    };
    let routes = Routes::new(SearchServiceServer::new(tower.clone()))
        .add_service(CatalogServiceServer::new(tower.clone()))
        .add_service(UserTowerServiceServer::new(tower.clone()))
        .add_service(GenerationServiceServer::new(tower.clone()))
        .add_service(HealthServer::new(health.clone()));
    let incoming = network::accept().await?;
    let serving = Server::builder()
        .add_routes(routes)
        .serve_with_incoming(incoming);
    let following = async {
        loop {
            health.set(service, !tower.held().is_empty());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = following => Ok(()),
    }
}

impl Tower {
    fn held(&self) -> std::collections::BTreeSet<usize> {
        let now = turmoil::sim_elapsed().unwrap_or_default();
        self.truth.held(self.member, self.began, now)
    }

    /// The number of a generation, if it is held.
    fn check(&self, generation: &str) -> Result<usize, Status> {
        let number = self.truth.number(generation);
        let held = self.held();
        number
            .filter(|number| held.contains(number))
            .ok_or_else(|| {
                let message = format!("generation {generation:?} is not held");
                status::failed_precondition(status::GENERATION_NOT_HELD, message)
            })
    }

    fn note(&self, wrong: String) -> Status {
        self.notes.lock().unwrap().wrong.push(wrong.clone());
        Status::internal(wrong)
    }

    fn shard(
        &self,
        number: usize,
        user: u64,
        query: &pb::ShardQuery,
        k: u32,
    ) -> Result<pb::ShardHits, Status> {
        if !self
            .truth
            .shards(number, self.member)
            .contains(&query.shard)
        {
            return Err(self.note(format!(
                "{} was asked for shard {}",
                self.member, query.shard
            )));
        }
        let all: Vec<u64> = self.truth.items(number, query.shard).collect();
        let free = all.iter().filter(|id| !query.exclude.contains(id));
        let score = |id: u64| self.truth.score(number, user, id);
        let mut ids: Vec<u64> = free.copied().collect();
        let eligible = ids.len() as u64;
        ids.sort_by(|a, b| score(*b).total_cmp(&score(*a)).then(a.cmp(b)));
        ids.truncate(k as usize);
        Ok(pb::ShardHits {
            shard: query.shard,
            scores: ids.iter().map(|id| score(*id)).collect(),
            interests: vec![0; ids.len()],
            ids,
            eligible,
            searched: eligible,
            exact: true,
            items: all.len() as u64,
            ..Default::default()
        })
    }
}

#[tonic::async_trait]
impl SearchService for Tower {
    async fn search(
        &self,
        request: Request<pb::SearchRequest>,
    ) -> Result<Response<pb::SearchResponse>, Status> {
        let request = request.into_inner();
        let number = self.check(&request.generation)?;
        let interests = request.interests.unwrap_or_default();
        if interests.space != self.truth.generations[number].space {
            return Err(self.note(format!("vectors of {} for {}", interests.space, number)));
        }
        let mut user = [0; size_of::<f32>()];
        user.copy_from_slice(&interests.f32[..size_of::<f32>()]);
        let user = f32::from_le_bytes(user) as u64;
        {
            let mut notes = self.notes.lock().unwrap();
            notes.searches += 1;
            for query in &request.shards {
                let before = notes.asked.insert(query.shard, request.k);
                notes.again += u64::from(before.is_some_and(|before| before < request.k));
            }
        }
        let shards = request.shards.iter();
        let shards = shards.map(|query| self.shard(number, user, query, request.k));
        Ok(Response::new(pb::SearchResponse {
            shards: shards.collect::<Result<_, _>>()?,
        }))
    }

    async fn get_vectors(
        &self,
        _: Request<pb::GetVectorsRequest>,
    ) -> Result<Response<pb::GetVectorsResponse>, Status> {
        Err(Status::unimplemented("not in this story"))
    }

    async fn list_shards(
        &self,
        _: Request<pb::ListShardsRequest>,
    ) -> Result<Response<pb::ListShardsResponse>, Status> {
        let generations = self.held().into_iter().map(|number| pb::HeldGeneration {
            generation: self.truth.generations[number].id.clone(),
            space: self.truth.generations[number].space.clone(),
            shards: self
                .truth
                .shards(number, self.member)
                .into_iter()
                .map(|shard| pb::HeldShard {
                    shard,
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
impl UserTowerService for Tower {
    async fn embed_users(
        &self,
        request: Request<pb::EmbedUsersRequest>,
    ) -> Result<Response<pb::EmbedUsersResponse>, Status> {
        let request = request.into_inner();
        let number = self.check(&request.generation)?;
        let me = &self.truth.user_towers[self.member - self.truth.item_towers.len()];
        let id = &request.users[0].user_id;
        if placement::owner(id, &self.truth.user_towers) != Some(me) {
            return Err(self.note(format!("{me} was asked for user {id}")));
        }
        let user: u64 = id.parse().unwrap();
        let vector = [user as f32, 1.0];
        let seen = (1..=ITEMS).filter(|item| Truth::has_seen(user, *item));
        Ok(Response::new(pb::EmbedUsersResponse {
            users: vec![pb::UserEmbedding {
                interests: Some(pb::Vectors {
                    f32: vector
                        .iter()
                        .flat_map(|value| value.to_le_bytes())
                        .collect(),
                    dim: DIM as u32,
                    space: self.truth.generations[number].space.clone(),
                }),
                seen: seen.collect(),
                ..Default::default()
            }],
        }))
    }

    async fn get_user_model_signature(
        &self,
        _: Request<pb::GetUserModelSignatureRequest>,
    ) -> Result<Response<pb::GetUserModelSignatureResponse>, Status> {
        Err(Status::unimplemented("not in this story"))
    }

    async fn import_users(
        &self,
        _: Request<Streaming<pb::ImportUsersRequest>>,
    ) -> Result<Response<pb::ImportUsersResponse>, Status> {
        Err(Status::unimplemented("not in this story"))
    }

    type ExportUsersStream = Empty<Result<pb::ExportUsersResponse, Status>>;

    async fn export_users(
        &self,
        _: Request<pb::ExportUsersRequest>,
    ) -> Result<Response<Self::ExportUsersStream>, Status> {
        Err(Status::unimplemented("not in this story"))
    }

    async fn forget_users(
        &self,
        _: Request<pb::ForgetUsersRequest>,
    ) -> Result<Response<pb::ForgetUsersResponse>, Status> {
        Err(Status::unimplemented("not in this story"))
    }
}

#[tonic::async_trait]
impl GenerationService for Tower {
    async fn list_generations(
        &self,
        _: Request<pb::ListGenerationsRequest>,
    ) -> Result<Response<pb::ListGenerationsResponse>, Status> {
        let held = self.held().into_iter();
        let generations = held.map(|number| pb::Generation {
            id: self.truth.generations[number].id.clone(),
            ..Default::default()
        });
        let user_tower = self.member.checked_sub(self.truth.item_towers.len());
        let name = user_tower.map(|at| self.truth.user_towers[at].clone());
        Ok(Response::new(pb::ListGenerationsResponse {
            generations: generations.collect(),
            members_epoch: 1,
            member: name.unwrap_or_default(),
        }))
    }

    async fn get_generation(
        &self,
        _: Request<pb::GetGenerationRequest>,
    ) -> Result<Response<pb::GetGenerationResponse>, Status> {
        Err(Status::unimplemented("not in this story"))
    }

    type WatchGenerationStream = stream::Chain<
        stream::Iter<std::vec::IntoIter<Result<pb::WatchGenerationResponse, Status>>>,
        Pending<Result<pb::WatchGenerationResponse, Status>>,
    >;

    async fn watch_generation(
        &self,
        _: Request<pb::WatchGenerationRequest>,
    ) -> Result<Response<Self::WatchGenerationStream>, Status> {
        let first = vec![Ok(pb::WatchGenerationResponse::default())];
        Ok(Response::new(
            stream::iter(first).chain(tokio_stream::pending()),
        ))
    }
}

#[tonic::async_trait]
impl CatalogService for Tower {
    async fn upsert_items(
        &self,
        _: Request<pb::UpsertItemsRequest>,
    ) -> Result<Response<pb::UpsertItemsResponse>, Status> {
        Err(Status::unimplemented("not in this story"))
    }

    async fn delete_items(
        &self,
        _: Request<pb::DeleteItemsRequest>,
    ) -> Result<Response<pb::DeleteItemsResponse>, Status> {
        Err(Status::unimplemented("not in this story"))
    }

    async fn get_items(
        &self,
        _: Request<pb::GetItemsRequest>,
    ) -> Result<Response<pb::GetItemsResponse>, Status> {
        Err(Status::unimplemented("not in this story"))
    }

    async fn list_popular_items(
        &self,
        request: Request<pb::ListPopularItemsRequest>,
    ) -> Result<Response<pb::ListPopularItemsResponse>, Status> {
        let request = request.into_inner();
        self.check(&request.generation)?;
        let ids: Vec<u64> = (1..=ITEMS).take(request.k as usize).collect();
        Ok(Response::new(pb::ListPopularItemsResponse {
            generation: request.generation,
            counts: ids.clone(),
            ids,
            eligible: ITEMS,
        }))
    }
}
