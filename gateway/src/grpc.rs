//! The services of a gateway, as one set of routes.

use std::sync::Arc;

use proto::v1::{
    catalog_service_server::CatalogServiceServer, event_service_server::EventServiceServer,
    generation_service_server::GenerationServiceServer, recall_service_server::RecallServiceServer,
    traffic_service_server::TrafficServiceServer,
};
use service::{deadline::Deadline, drain::Shutdown, health::Health};
use tokio::time::Instant;
use tonic::{Request, server::NamedService as _, service::Routes};
use tonic_web::GrpcWebLayer;

use crate::{
    config::Config,
    last::LastUsers,
    shadow::Shadow,
    token::Keys,
    topology::{Topology, View},
};

mod catalog;
mod event;
mod generation;
mod names;
mod recall;
mod traffic;

const RECALL: &str = RecallServiceServer::<recall::Service>::NAME;
const EVENT: &str = EventServiceServer::<event::Service>::NAME;
const CATALOG: &str = CatalogServiceServer::<catalog::Service>::NAME;
const GENERATION: &str = GenerationServiceServer::<generation::Service>::NAME;
const TRAFFIC: &str = TrafficServiceServer::<traffic::Service>::NAME;

/// The services, by the names that health knows them by.
pub(crate) fn services(config: &Config) -> Vec<&'static str> {
    let mut services = vec![RECALL, EVENT, CATALOG, GENERATION];
    if config.traffic.serve {
        services.push(TRAFFIC);
    }
    services
}

/// Makes the routes; they answer gRPC and gRPC-Web.
pub(crate) fn routes(
    topology: &Arc<Topology>,
    keys: Arc<Keys>,
    config: &Config,
    shutdown: &Shutdown,
) -> Routes {
    let limit = config.server.max_message_bytes;
    let shadow = Arc::new(Shadow::new());
    let last = Arc::new(LastUsers::new(config.recall.last_vectors_bytes));
    let recall = recall::Service::new(
        topology.clone(),
        last.clone(),
        keys,
        shadow.clone(),
        config,
        shutdown.clone(),
    );
    let event = event::Service::new(topology.clone(), last);
    let catalog = catalog::Service::new(topology.clone());
    let generation = generation::Service::new(topology.clone(), shutdown.clone());
    let mut routes = Routes::new(RecallServiceServer::new(recall).max_decoding_message_size(limit))
        .add_service(EventServiceServer::new(event).max_decoding_message_size(limit))
        .add_service(CatalogServiceServer::new(catalog).max_decoding_message_size(limit))
        .add_service(GenerationServiceServer::new(generation).max_decoding_message_size(limit));
    if config.traffic.serve {
        let traffic = TrafficServiceServer::new(traffic::Service::new(topology.clone(), shadow));
        routes = routes.add_service(traffic.max_decoding_message_size(limit));
    }
    Routes::from(routes.into_axum_router().layer(GrpcWebLayer::new()))
}

/// Tells which services can answer by what `view` shows.
pub(crate) fn tell(view: &View, health: &Health) {
    let pinned = view.pinned().is_some();
    health.set(RECALL, pinned);
    health.set(CATALOG, pinned);
    health.set(EVENT, view.knows_owners());
    health.set(GENERATION, true);
    if health.get(TRAFFIC).is_some() {
        health.set(TRAFFIC, view.current().is_some());
    }
}

/// When the call must be answered.
fn deadline<T>(request: &Request<T>) -> Instant {
    Deadline::of(request).at().into()
}
