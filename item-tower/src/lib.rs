//! Embeds items from a named artifact, and serves shards of a generation.
//!
//! Top floor of the house, over `service`, `encoder`, `index` and `generation`. Embedding needs no
//! generation and is healthy at once; searching and reading the catalog wait for the first that
//! CURRENT names. Both have permits of their own, so a re-index cannot starve recall.
//!
//! The way of a search: `grpc/search` -> `search` -> `shards` -> `index::shard`. The way of an
//! embedding: `grpc/item_tower` -> `models` -> `encoder`. The way of a change: `grpc/catalog` -> `changing` -> `deltas/writer`.
//! Beside them `shards` follows CURRENT, and `deltas` the catalog's log.

use std::{sync::Arc, thread};

use generation::store::Store;
use service::{
    blocking::Blocking, drain::Shutdown, health::Health, metrics::Generations, server::Server,
};
use tokio::net::TcpListener;

use crate::{
    changing::Changing,
    config::Config,
    deltas::{Log, writer::Writer},
    models::Models,
    shards::Shards,
};

mod catalog;
mod changing;
pub mod config;
mod deltas;
mod error;
mod grpc;
mod meter;
mod metrics;
mod models;
mod search;
mod shards;

/// Serves on `listener` until `shutdown`.
///
/// # Errors
/// If ONNX Runtime or the store cannot be opened, or serving fails.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    onnxruntime(&config)?;
    let store = Store::open(&config.store)?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let sessions = match config.models.sessions {
        0 => cores,
        sessions => sessions,
    };
    let embedding = Blocking::new("embedding", sessions);
    let searching = Blocking::new("searching", cores);
    let opening = Blocking::new("opening", 1);

    let models = Arc::new(Models::new(
        store.clone(),
        config.models.keep,
        sessions,
        opening.clone(),
    ));
    let log = Log::new(store.clone(), Arc::clone(&models), embedding.clone());
    let shards = Arc::new(Shards::new(store, &config, opening, log.clone()));
    let writer = Arc::new(Writer::new());
    let health = Health::new(&[grpc::AT_ONCE, grpc::WAITING].concat());
    grpc::AT_ONCE.iter().for_each(|name| health.set(name, true));
    // Dropped beside the server; if it panics, the server ends too.
    let generations = Generations::new("item-tower");
    let following = shards.follow(|healthy| {
        let held = shards.snapshot();
        generations.tell(held.ids(), held.answering());
        held.delta().into_iter().for_each(metrics::delta);
        grpc::WAITING
            .iter()
            .for_each(|name| health.set(name, healthy));
    });

    let updating = log.follow(&shards, config.updates.refresh);
    let writing = writer.write_all(&log, &shards);

    let changes = Changing {
        models: Arc::clone(&models),
        shards: Arc::clone(&shards),
        writer: Arc::clone(&writer),
        embedding: embedding.clone(),
        max_items: config.updates.max_items,
    };
    let bytes = config.server.max_message_bytes;
    let routes = grpc::routes(
        models,
        changes,
        embedding,
        &searching,
        bytes,
        shutdown.clone(),
    );
    let server = Server {
        config: &config.server,
        identity: &config.identity,
        roles: proto::roles::ROLES,
        descriptors: &[proto::DESCRIPTORS],
    };
    let serving = server.serve(listener, routes, health.clone(), shutdown);
    tokio::select! {
        served = serving => served,
        _ = following => anyhow::bail!("the follower of the store ended"),
        _ = updating => anyhow::bail!("the follower of the catalog's log ended"),
        _ = writing => anyhow::bail!("the writer of the catalog's log ended"),
    }
}

/// Opens ONNX Runtime where the config says, or where it usually is.
fn onnxruntime(config: &Config) -> Result<(), encoder::error::Error> {
    let library = &config.onnxruntime.library;
    if library.as_os_str().is_empty() {
        encoder::session::init(&encoder::session::library()?)
    } else {
        encoder::session::init(library)
    }
}
