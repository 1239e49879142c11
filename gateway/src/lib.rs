//! Distributed recall: embed at the owner, scatter over shards, merge.
//!
//! Top floor of the house, over `service` and `generation`; it links neither ONNX Runtime nor usearch, and knows the
//! towers only by the wire.
//!
//! The way of a recall: `grpc` -> `admission` -> `recall` -> `user_tower` -> `scatter` -> `merge` -> `items`; `last` and `fallback` stand in
//! for a user tower that cannot be reached. Beside it `topology` follows the members and the store, and gives each
//! call one `view` to keep. Calls to shards go through `fanout`, which asks another `replica` once more where one is unreachable or
//! slow, as `calls` allows. `grpc` also passes events and catalog calls on to the members that can answer them.

use std::sync::Arc;

use generation::store::Store;
use service::{
    Settings as _, client::Connector, drain::Shutdown, health::Health, metrics::Generations,
    server::Server,
};
use tokio::net::TcpListener;
use tonic::transport::Endpoint;

use crate::{config::Config, replica::Connect, token::Keys, topology::Topology};

mod admission;
mod answer;
mod blend;
mod budget;
mod calls;
pub mod config;
mod count;
mod diversity;
mod error;
mod exclusion;
mod failure;
mod fallback;
mod fanout;
mod filter;
mod grpc;
mod hit;
mod items;
mod last;
mod merge;
mod metrics;
mod pace;
mod query;
mod recall;
mod replica;
mod retries;
mod scatter;
mod shadow;
mod shard_k;
#[cfg(test)]
mod simulation;
mod token;
mod topology;
mod user_tower;
mod varied;
mod vectors;

/// Serves on `listener` until `shutdown`.
///
/// # Errors
/// If a setting cannot work, the store cannot be opened, or serving fails.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    config.validate()?;
    metrics::begin();
    let store = Store::open(&config.store)?;
    let connector = Connector::new(&config.identity)?;
    let connect = Connect::new(move |endpoint: Endpoint| connector.lazy(endpoint));
    let topology = Arc::new(Topology::new(store, &config, connect));
    let keys = Arc::new(Keys::load(&config.tokens.key_files)?);
    let health = Health::new(&grpc::services(&config));

    let routes = grpc::routes(&topology, keys, &config, &shutdown);
    // Dropped beside the server; if it panics, the server ends too.
    let generations = Generations::new("gateway");
    let following = topology.follow(|view| {
        let held = view.generations().map(|held| held.manifest.id.as_str());
        generations.tell(held, view.pinned());
        grpc::tell(view, &health);
    });
    let server = Server {
        config: &config.server,
        identity: &config.identity,
        roles: proto::roles::ROLES,
        descriptors: &[proto::DESCRIPTORS],
    };
    let serving = server.serve(listener, routes, health.clone(), shutdown);
    tokio::select! {
        served = serving => served,
        () = following => anyhow::bail!("the following of the members ended"),
    }
}
