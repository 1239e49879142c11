//! The services of an item tower, as one set of routes.

use std::sync::Arc;

use proto::v1::{
    catalog_service_server::CatalogServiceServer,
    generation_service_server::GenerationServiceServer,
    item_tower_service_server::ItemTowerServiceServer, search_service_server::SearchServiceServer,
};
use service::{blocking::Blocking, drain::Shutdown};
use tonic::{server::NamedService as _, service::Routes};

use crate::{changing::Changing, models::Models};

mod catalog;
mod features;
mod filter;
mod generation;
mod item_tower;
mod search;

/// The health names of the services that answer at once, whatever the store holds.
pub(crate) const AT_ONCE: [&str; 2] = [
    ItemTowerServiceServer::<item_tower::Service>::NAME,
    GenerationServiceServer::<generation::Service>::NAME,
];
/// The health names of the services that wait for a generation.
pub(crate) const WAITING: [&str; 2] = [
    SearchServiceServer::<search::Service>::NAME,
    CatalogServiceServer::<catalog::Service>::NAME,
];

/// The longest Search: it carries all that a user has seen.
const SEARCH_BYTES: usize = 32 << 20;

/// Makes the routes; embedding and searching run on pools of their own.
pub(crate) fn routes(
    models: Arc<Models>,
    changing: Changing,
    embedding: Blocking,
    searching: &Blocking,
    max_message_bytes: usize,
    shutdown: Shutdown,
) -> Routes {
    let shards = Arc::clone(&changing.shards);
    let tower = item_tower::Service {
        models,
        blocking: embedding,
    };
    let search = search::Service {
        shards: Arc::clone(&shards),
        blocking: searching.clone(),
    };
    let catalog = catalog::Service {
        shards: Arc::clone(&shards),
        blocking: searching.clone(),
        changing,
    };
    let generation = generation::Service { shards, shutdown };
    Routes::new(ItemTowerServiceServer::new(tower).max_decoding_message_size(max_message_bytes))
        .add_service(
            SearchServiceServer::new(search)
                .max_decoding_message_size(max_message_bytes.max(SEARCH_BYTES)),
        )
        .add_service(
            CatalogServiceServer::new(catalog).max_decoding_message_size(max_message_bytes),
        )
        .add_service(
            GenerationServiceServer::new(generation).max_decoding_message_size(max_message_bytes),
        )
}
