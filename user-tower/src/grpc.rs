//! The door: the services of a user tower, from the wire to words of the house and back.

use std::sync::{Arc, atomic::AtomicBool};

use proto::{
    inference::grpc_inference_service_server::{self, GrpcInferenceServiceServer},
    v1::{
        event_service_server::{self, EventServiceServer},
        generation_service_server::{self, GenerationServiceServer},
        user_tower_service_server::{self, UserTowerServiceServer},
    },
};
use service::drain::Shutdown;
use tonic::service::Routes;

use crate::{
    config::Config,
    error::Error,
    history::{HistoryStore, Tally, Write},
    members::Ownership,
    models::Models,
};

mod events;
mod generations;
mod inference;
pub(crate) mod read;
mod users;
pub(crate) mod write;

/// The name of the service that keeps users.
pub(crate) const EVENTS: &str = event_service_server::SERVICE_NAME;
/// The name of the service that embeds users.
pub(crate) const USERS: &str = user_tower_service_server::SERVICE_NAME;
/// The name of the service that runs the user models on tensors.
pub(crate) const INFERENCE: &str = grpc_inference_service_server::SERVICE_NAME;
/// The name of the service that tells what is held.
pub(crate) const GENERATIONS: &str = generation_service_server::SERVICE_NAME;

/// What the services share; clones share it too.
#[derive(Clone)]
pub(crate) struct Tower {
    ownership: Arc<Ownership>,
    history: Arc<dyn HistoryStore>,
    models: Arc<Models>,
    keep: usize,
    /// Whether users are being handed over to this member: until they are settled nothing is forgotten.
    receiving: Arc<AtomicBool>,
    /// Ends the calls that watch.
    shutdown: Shutdown,
}

impl Tower {
    /// A tower that keeps users in `history` and embeds them with `models`.
    pub(crate) fn new(
        ownership: Arc<Ownership>,
        history: Arc<dyn HistoryStore>,
        models: Arc<Models>,
        config: &Config,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            ownership,
            history,
            models,
            keep: config.history.keep,
            receiving: Arc::default(),
            shutdown,
        }
    }

    /// The services, each decoding messages of at most `max_message_bytes`.
    pub(crate) fn routes(&self, max_message_bytes: usize) -> Routes {
        let events = EventServiceServer::new(self.clone());
        let users = UserTowerServiceServer::new(self.clone());
        let inference = GrpcInferenceServiceServer::new(self.clone());
        let generations = GenerationServiceServer::new(self.clone());
        Routes::new(events.max_decoding_message_size(max_message_bytes))
            .add_service(users.max_decoding_message_size(max_message_bytes))
            .add_service(inference.max_decoding_message_size(max_message_bytes))
            .add_service(generations.max_decoding_message_size(max_message_bytes))
    }

    /// Writes for `users`, all of them this member's when the write takes its place among the others.
    async fn write_for<'a>(
        &self,
        epoch: u64,
        users: impl IntoIterator<Item = &'a str>,
        write: Write,
    ) -> Result<Tally, Error> {
        let queue = || self.history.write(write);
        self.ownership.as_owner(epoch, users, queue)?.await
    }

    /// Checks that the stored ones of `users` are this member's; the empty name is nobody's.
    fn check_owned<'a>(
        &self,
        epoch: u64,
        users: impl Iterator<Item = &'a str>,
    ) -> Result<(), Error> {
        self.ownership
            .check(epoch, users.filter(|user| !user.is_empty()))
    }
}
