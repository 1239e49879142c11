//! A user tower with canned users, which refuses what a true one would refuse.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::{Arc, Mutex, MutexGuard},
};

use generation::manifest::Manifest;
use proto::v1::{
    self as pb,
    event_service_server::{EventService, EventServiceServer},
    generation_service_server::{GenerationService, GenerationServiceServer},
    item_ref::Name,
    user_tower_service_server::{UserTowerService, UserTowerServiceServer},
};
use service::{health::Health, status};
use tonic::{Request, Response, Status, Streaming, service::Routes};

use super::{DIM, peer::Peer};

const EMBED: &str = "twotower.v1.UserTowerService";

/// A running user tower.
pub(crate) struct UserTower {
    state: Arc<Mutex<State>>,
    health: Health,
    peer: Peer,
}

/// What it holds, how it behaves, and what it was told.
#[derive(Default)]
pub(crate) struct State {
    /// Space by generation.
    pub(crate) held: BTreeMap<String, String>,
    pub(crate) epoch: u64,
    /// Its name in MEMBERS.
    pub(crate) name: String,
    /// Recording fails.
    pub(crate) disk_full: bool,
    /// Embedding gets no answer.
    pub(crate) hangs: bool,
    /// Embeds into this space instead of the generation's.
    pub(crate) space: Option<String>,
    /// The interests of every user instead of two that are not zero.
    pub(crate) interests: Option<Vec<f32>>,
    /// Seen items by user.
    pub(crate) seen: BTreeMap<String, BTreeSet<u64>>,
    /// Events by (user, time, event_id).
    pub(crate) events: BTreeSet<(String, i64, String)>,
}

impl UserTower {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::default());
        let health = Health::new(&[EMBED]);
        let service = Service(Arc::clone(&state));
        let routes = Routes::new(UserTowerServiceServer::new(service.clone()))
            .add_service(EventServiceServer::new(service.clone()))
            .add_service(GenerationServiceServer::new(service));
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

    pub(crate) fn hold(&self, manifest: &Manifest) {
        let (id, space) = (manifest.id.clone(), manifest.space.clone());
        self.state().held.insert(id, space);
        self.health.set(EMBED, true);
    }

    pub(crate) fn see(&self, user: &str, items: &[u64]) {
        let items = items.iter().copied().collect();
        self.state().seen.insert(user.to_owned(), items);
    }

    pub(crate) fn kill(&mut self) {
        self.peer.kill();
    }
}

#[derive(Clone)]
struct Service(Arc<Mutex<State>>);

impl State {
    fn check_epoch(&self, epoch: u64) -> Result<(), Status> {
        if epoch == 0 || epoch == self.epoch {
            return Ok(());
        }
        let message = format!("epoch {epoch} is not {}", self.epoch);
        Err(status::failed_precondition(status::MEMBERS_EPOCH, message))
    }

    fn embed(&self, request: pb::EmbedUsersRequest) -> Result<pb::EmbedUsersResponse, Status> {
        self.check_epoch(request.members_epoch)?;
        if request.users[0].user_id.len() > 256 {
            return Err(status::invalid("users[0].user_id", "is too long"));
        }
        let space = self.held.get(&request.generation).ok_or_else(|| {
            let message = format!("generation {:?} is not held", request.generation);
            status::failed_precondition(status::GENERATION_NOT_HELD, message)
        })?;
        let space = self.space.as_ref().unwrap_or(space);
        let usual = vec![1.0; 2 * DIM];
        let interests = self.interests.as_ref().unwrap_or(&usual);
        let users = request.users.into_iter().map(|user| {
            let history = user.context.into_iter().flat_map(|context| context.history);
            let told = history.filter_map(|event| match event.item?.name? {
                Name::Id(id) => Some(id),
                Name::Key(_) => None,
            });
            let mut seen = self.seen.get(&user.user_id).cloned().unwrap_or_default();
            seen.extend(told);
            pb::UserEmbedding {
                interests: Some(pb::Vectors {
                    f32: interests.iter().flat_map(|v| v.to_le_bytes()).collect(),
                    dim: DIM as u32,
                    space: space.clone(),
                }),
                cold_start: seen.is_empty(),
                // Of what is asked for it has nothing.
                stale_history: !user.consistency_token.is_empty(),
                seen: seen.into_iter().collect(),
                ..Default::default()
            }
        });
        Ok(pb::EmbedUsersResponse {
            users: users.collect(),
        })
    }
}

#[tonic::async_trait]
impl UserTowerService for Service {
    async fn embed_users(
        &self,
        request: Request<pb::EmbedUsersRequest>,
    ) -> Result<Response<pb::EmbedUsersResponse>, Status> {
        if self.0.lock().unwrap().hangs {
            pending::<()>().await;
        }
        let answer = self.0.lock().unwrap().embed(request.into_inner());
        answer.map(Response::new)
    }

    async fn get_user_model_signature(
        &self,
        _: Request<pb::GetUserModelSignatureRequest>,
    ) -> Result<Response<pb::GetUserModelSignatureResponse>, Status> {
        Err(Status::unimplemented("not needed here"))
    }

    async fn import_users(
        &self,
        _: Request<Streaming<pb::ImportUsersRequest>>,
    ) -> Result<Response<pb::ImportUsersResponse>, Status> {
        Err(Status::unimplemented("not needed here"))
    }

    type ExportUsersStream = tokio_stream::Empty<Result<pb::ExportUsersResponse, Status>>;

    async fn export_users(
        &self,
        _: Request<pb::ExportUsersRequest>,
    ) -> Result<Response<Self::ExportUsersStream>, Status> {
        Err(Status::unimplemented("not needed here"))
    }

    async fn forget_users(
        &self,
        _: Request<pb::ForgetUsersRequest>,
    ) -> Result<Response<pb::ForgetUsersResponse>, Status> {
        Err(Status::unimplemented("not needed here"))
    }
}

#[tonic::async_trait]
impl EventService for Service {
    async fn record_events(
        &self,
        request: Request<pb::RecordEventsRequest>,
    ) -> Result<Response<pb::RecordEventsResponse>, Status> {
        let mut state = self.0.lock().unwrap();
        let request = request.into_inner();
        state.check_epoch(request.members_epoch)?;
        if state.disk_full {
            return Err(status::unavailable(
                status::STORE_FAILED,
                "the disk is full",
            ));
        }
        if let Some(at) = request.events.iter().position(|event| event.time == 0) {
            return Err(status::invalid(format!("events[{at}].time"), "is 0"));
        }
        let mut answer = pb::RecordEventsResponse {
            consistency_token: format!("{}-1", request.events.len()),
            ..Default::default()
        };
        for event in request.events {
            let is_new = state
                .events
                .insert((event.user_id, event.time, event.event_id));
            answer.recorded += u32::from(is_new);
            answer.duplicates += u32::from(!is_new);
        }
        Ok(Response::new(answer))
    }

    async fn get_user(
        &self,
        request: Request<pb::GetUserRequest>,
    ) -> Result<Response<pb::GetUserResponse>, Status> {
        let state = self.0.lock().unwrap();
        let request = request.into_inner();
        state.check_epoch(request.members_epoch)?;
        let of_user = state
            .events
            .iter()
            .filter(|event| event.0 == request.user_id);
        Ok(Response::new(pb::GetUserResponse {
            seen_items: of_user.count() as u64,
            ..Default::default()
        }))
    }

    async fn put_user_profile(
        &self,
        request: Request<pb::PutUserProfileRequest>,
    ) -> Result<Response<pb::PutUserProfileResponse>, Status> {
        let state = self.0.lock().unwrap();
        state.check_epoch(request.into_inner().members_epoch)?;
        Ok(Response::new(pb::PutUserProfileResponse::default()))
    }

    async fn delete_user(
        &self,
        request: Request<pb::DeleteUserRequest>,
    ) -> Result<Response<pb::DeleteUserResponse>, Status> {
        let mut state = self.0.lock().unwrap();
        let request = request.into_inner();
        state.check_epoch(request.members_epoch)?;
        let before = state.events.len();
        state.events.retain(|event| event.0 != request.user_id);
        Ok(Response::new(pb::DeleteUserResponse {
            events: (before - state.events.len()) as u64,
            ..Default::default()
        }))
    }
}

#[tonic::async_trait]
impl GenerationService for Service {
    async fn list_generations(
        &self,
        _: Request<pb::ListGenerationsRequest>,
    ) -> Result<Response<pb::ListGenerationsResponse>, Status> {
        let state = self.0.lock().unwrap();
        let generations = state.held.iter().rev().map(|(id, space)| pb::Generation {
            id: id.clone(),
            space: space.clone(),
            ..Default::default()
        });
        Ok(Response::new(pb::ListGenerationsResponse {
            generations: generations.collect(),
            members_epoch: state.epoch,
            member: state.name.clone(),
        }))
    }

    async fn get_generation(
        &self,
        _: Request<pb::GetGenerationRequest>,
    ) -> Result<Response<pb::GetGenerationResponse>, Status> {
        Err(Status::unimplemented("not needed here"))
    }

    type WatchGenerationStream = tokio_stream::Empty<Result<pb::WatchGenerationResponse, Status>>;

    async fn watch_generation(
        &self,
        _: Request<pb::WatchGenerationRequest>,
    ) -> Result<Response<Self::WatchGenerationStream>, Status> {
        Err(Status::unimplemented("not needed here"))
    }
}
