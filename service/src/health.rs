//! `grpc.health.v1`: which of a server's services can answer.

use std::{collections::BTreeMap, pin::Pin, sync::Arc};

use futures::{Stream, stream};
use tokio::sync::watch;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_server::Health as Service,
};
use tracing::info;

/// The health of one server's services; clones share it.
///
/// The service "" stands for the whole server: it serves when all of them do.
#[derive(Clone, Debug)]
pub struct Health {
    state: Arc<watch::Sender<State>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    services: BTreeMap<String, bool>,
    draining: bool,
}

impl Health {
    /// A server of `services` (full names, e.g. `twotower.v1.SearchService`), none of which serves
    /// until [`set`](Self::set) says so.
    pub fn new(services: &[&str]) -> Self {
        let services = services.iter().map(|name| ((*name).to_owned(), false));
        Self {
            state: Arc::new(watch::Sender::new(State {
                services: services.collect(),
                draining: false,
            })),
        }
    }

    /// Says whether `service` serves.
    pub fn set(&self, service: &str, serving: bool) {
        let changed = self.state.send_if_modified(|state| {
            state.services.insert(service.to_owned(), serving) != Some(serving)
        });
        if changed {
            info!(service, serving, "health changed");
        }
    }

    /// Whether `service` ("" for all of them) serves; none if it is unknown.
    pub fn get(&self, service: &str) -> Option<bool> {
        self.state.borrow().get(service)
    }

    /// The names of the services.
    pub fn services(&self) -> Vec<String> {
        self.state.borrow().services.keys().cloned().collect()
    }

    /// Says for good that nothing serves any more, and ends every watch after saying so.
    pub(crate) fn drain(&self) {
        self.state.send_modify(|state| state.draining = true);
    }
}

impl State {
    fn get(&self, service: &str) -> Option<bool> {
        let serving = match service {
            "" => self.services.values().all(|serving| *serving),
            name => *self.services.get(name)?,
        };
        Some(serving && !self.draining)
    }

    fn status(&self, service: &str) -> ServingStatus {
        match self.get(service) {
            None => ServingStatus::ServiceUnknown,
            Some(true) => ServingStatus::Serving,
            Some(false) => ServingStatus::NotServing,
        }
    }
}

#[tonic::async_trait]
impl Service for Health {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        match self.state.borrow().status(&service) {
            ServingStatus::ServiceUnknown => {
                Err(Status::not_found(format!("service {service:?} is unknown")))
            }
            status => Ok(Response::new(answer(status))),
        }
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let service = request.into_inner().service;
        let start = (self.state.subscribe(), None);
        let changes = stream::unfold(start, move |(mut state, last)| {
            let service = service.clone();
            async move {
                loop {
                    let (status, draining) = {
                        let state = state.borrow_and_update();
                        (state.status(&service), state.draining)
                    };
                    if last != Some(status) {
                        return Some((Ok(answer(status)), (state, Some(status))));
                    }
                    if draining {
                        return None;
                    }
                    state.changed().await.ok()?;
                }
            }
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
