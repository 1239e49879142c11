//! Distributed recall: embed at the owner, scatter over shards, merge.
//!
//! Top floor of the house, over `service` and `generation`; it links neither ONNX Runtime nor usearch, and knows the
//! towers only by the wire.
//!
//! The way of a recall: `grpc` -> `recall` -> `user_tower` -> `scatter` -> `merge` -> `items`; `fallback` stands in
//! for a user tower that cannot be reached. Beside it `topology` follows the members and the store, and gives each
//! call one `view` to keep. `grpc` also passes events and catalog calls on to the members that can answer them.

use std::sync::Arc;

use anyhow::Context as _;
use generation::store::Store;
use service::{Settings as _, drain::Shutdown, health::Health};
use tokio::net::TcpListener;

use crate::{config::Config, grpc::HEALTH, topology::Topology};

mod answer;
mod budget;
pub mod config;
mod error;
mod exclusion;
mod fallback;
mod fanout;
mod filter;
mod grpc;
mod hit;
mod items;
mod merge;
mod query;
mod recall;
mod replica;
mod scatter;
mod topology;
mod user_tower;

/// Serves on `listener` until `shutdown`.
///
/// # Errors
/// If a setting cannot work, the store cannot be opened, a member's address cannot be parsed, or serving fails.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    config.validate()?;
    let store = Store::open(&config.store)?;
    let topology = Topology::new(store, &config).context("a member's address")?;
    let topology = Arc::new(topology);
    let health = Health::new(&HEALTH);

    let routes = grpc::routes(&topology, &config);
    // Dropped beside the server; if it panics, the server ends too.
    let following = topology.follow(|view| grpc::tell(view, &health));
    let descriptors = [proto::DESCRIPTORS];
    let serving = service::server::serve(
        listener,
        &config.server,
        routes,
        &descriptors,
        health.clone(),
        shutdown,
    );
    tokio::select! {
        served = serving => served,
        () = following => anyhow::bail!("the following of the members ended"),
    }
}
