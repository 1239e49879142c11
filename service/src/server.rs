//! The gRPC server around a binary's services: limits, deadlines, health, reflection, drain.

use anyhow::Context as _;
use tokio::net::TcpListener;
use tonic::{service::Routes, transport::Server};
use tonic_health::pb::health_server::HealthServer;
use tracing::{info, info_span, warn};

use crate::{
    config::ServerConfig, connection, drain::Shutdown, health::Health, server::guard::GuardLayer,
};

mod guard;

/// The longest message that a service decodes unless its `ServerConfig` says otherwise, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Streams that a client may make the server reset before the connection is closed; tonic's default
/// has no bound.
const MAX_LOCAL_RESETS: usize = 1024;

/// Serves `routes` on `listener` until `shutdown`, then drains.
///
/// Each call of `routes` ends at its deadline (in its extensions: [`crate::deadline::Deadline`]),
/// and a panic in one is INTERNAL for that call only. `grpc.health.v1` answers from `health`, and
/// reflection tells of the services that `health` names, from the encoded file descriptor sets
/// `descriptors`. Services bound their messages themselves, by `max_decoding_message_size`.
///
/// Drain: health turns NOT_SERVING, no connection is accepted, calls in flight go on for at most
/// `config.drain`; then their connections are cut.
///
/// # Errors
/// If the descriptors are malformed, or the server fails.
pub async fn serve(
    listener: TcpListener,
    config: &ServerConfig,
    routes: Routes,
    descriptors: &[&[u8]],
    health: Health,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let guard = GuardLayer::new(config.default_deadline, config.max_deadline);
    let mut routes = Routes::from(routes.into_axum_router().layer(guard))
        .add_service(HealthServer::new(health.clone()));
    if config.reflection {
        routes = reflect(routes, descriptors, &health).context("malformed file descriptors")?;
    }
    // Ends every connection when requested, and also when this future is dropped.
    let (cut, cutting) = Shutdown::manual();
    let serving = builder(config)
        .trace_fn(|request| info_span!("call", method = request.uri().path()))
        .add_routes(routes)
        .serve_with_incoming_shutdown(connection::accept(listener, config, cutting), async {
            shutdown.requested().await;
            info!("draining");
            health.drain();
        });
    tokio::pin!(serving);
    let overdue = async {
        shutdown.requested().await;
        tokio::time::sleep(config.drain).await;
    };
    tokio::select! {
        served = &mut serving => return Ok(served?),
        () = overdue => {}
    }
    warn!(drain = ?config.drain, "calls are still in flight, their connections are cut");
    cut.request();
    Ok(serving.await?)
}

fn builder(config: &ServerConfig) -> Server {
    Server::builder()
        .max_concurrent_streams(config.max_streams)
        .http2_max_local_error_reset_streams(Some(MAX_LOCAL_RESETS))
        .http2_max_header_list_size(config.max_header_bytes)
        .http2_keepalive_interval(Some(config.keepalive_interval))
        .http2_keepalive_timeout(Some(config.keepalive_timeout))
        .accept_http1(config.http1)
}

fn reflect(
    routes: Routes,
    descriptors: &[&[u8]],
    health: &Health,
) -> Result<Routes, tonic_reflection::server::Error> {
    let configure = |own_name: &str| {
        let mut builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health")
            .with_service_name(own_name);
        for set in descriptors {
            builder = builder.register_encoded_file_descriptor_set(set);
        }
        for service in health.services() {
            builder = builder.with_service_name(service);
        }
        builder
    };
    let v1 = configure("grpc.reflection.v1.ServerReflection").build_v1()?;
    let v1alpha = configure("grpc.reflection.v1alpha.ServerReflection").build_v1alpha()?;
    Ok(routes.add_service(v1).add_service(v1alpha))
}
