//! Embeds users: keeps what they did and who they are, and turns it into vectors.
//!
//! Top floor of the house, beside the other servers. A call comes in at `grpc`, whose `read` turns
//! it into words of the house and whose `write` turns the answer back. `members` says whether this
//! server owns the user; `history` is what is stored, `redb_store` where; `user` is what a model sees
//! of it; `models` holds the user models of the generations that CURRENT names, and `batcher` runs
//! them; a caller's own tensors go to a model past it. [`import`], [`export`] and [`hand_over`] are the clients that load,
//! save and move users.

use std::sync::Arc;

use anyhow::Context as _;
use generation::store::Store;
use service::{
    blocking::Blocking, drain::Shutdown, health::Health, metrics::Generations, server::Server,
};
use tokio::net::TcpListener;

use crate::{
    config::Config, grpc::Tower, members::Ownership, models::Models, redb_store::RedbStore,
};

pub mod client;
pub mod config;
pub mod export;
pub mod hand_over;
pub mod import;

mod batcher;
mod error;
mod grpc;
mod history;
mod members;
mod metrics;
mod models;
mod redb_store;
mod retention;
mod sweep;
mod token;
mod user;

/// Serves `config` on `listener` until `shutdown`.
///
/// `EventService` serves once the history is open, `UserTowerService` and `GRPCInferenceService` once
/// a generation's model is loaded.
///
/// # Errors
/// If ONNX Runtime, the store or the history cannot be opened, or the server fails.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    encoder::session::init(&config.library()?)?;
    let store = Store::open(&config.store)?;
    let ownership = Arc::new(Ownership::open(&store, &config.member).await?);
    let (file, epoch) = (config.history.clone(), ownership.epoch());
    // Every page is compared with its checksum, which takes a while where there are many.
    let opening = tokio::task::spawn_blocking(move || RedbStore::open(&file, epoch));
    let history = tokio::select! {
        opened = opening => Arc::new(opened?.context("the history")?),
        () = shutdown.requested() => return Ok(()),
    };
    let models = Arc::new(Models::new(
        store.clone(),
        &config,
        Blocking::new("inference", config.models.sessions),
    ));
    let health = Health::new(&[
        grpc::EVENTS,
        grpc::USERS,
        grpc::INFERENCE,
        grpc::GENERATIONS,
    ]);
    health.set(grpc::GENERATIONS, true);

    let tower = Tower::new(
        ownership.clone(),
        history.clone(),
        models.clone(),
        &config,
        shutdown.clone(),
    );
    let routes = tower.routes(config.server.max_message_bytes);
    let refresh = config.models.refresh;
    let says = |services: &'static [&str]| {
        let health = health.clone();
        move |serves| services.iter().for_each(|name| health.set(name, serves))
    };
    let generations = Generations::new("user-tower");
    let models_say = |serves| {
        let held = models.snapshot();
        generations.tell(held.ids(), held.answering());
        says(&[grpc::USERS, grpc::INFERENCE])(serves);
    };
    // They end with the server: each either waits for `shutdown` or is dropped beside it.
    let background = async {
        tokio::join!(
            models.follow(models_say),
            models.follow_log(),
            ownership.follow(&store, refresh),
            history.follow(says(&[grpc::EVENTS])),
            retention::follow(history.as_ref(), config.history.max_age),
        )
    };
    let server = Server {
        config: &config.server,
        identity: &config.identity,
        roles: proto::roles::ROLES,
        descriptors: &[proto::DESCRIPTORS],
    };
    let serving = server.serve(listener, routes, health.clone(), shutdown);
    tokio::select! {
        served = serving => served,
        _ = background => anyhow::bail!("the followers of the store ended"),
    }
}
