//! The gRPC server around a binary's services: limits, deadlines, health, reflection, drain.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{net::TcpListener, time::timeout};
use tonic::{service::Routes, transport};
use tonic_health::pb::health_server::HealthServer;
use tracing::{info, warn};

use crate::{
    config::ServerConfig,
    connection::accept::{Door, accept},
    drain::Shutdown,
    health::Health,
    identity::{Identity, IdentityConfig, Roles, access::Table},
    metrics::{self, Calls},
    server::{
        entry::{Entry, EntryLayer, Rooms},
        guard::GuardLayer,
        rate::Rate,
    },
    systemd,
};

mod entry;
mod guard;
mod rate;

/// The longest message that a service decodes unless its `ServerConfig` says otherwise, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Streams that a client may make the server reset by frames that are wrong before the connection is closed; tonic's default has no bound.
const MAX_LOCAL_RESETS: usize = 100;

/// How long a connection with TLS is used for new calls.
const AGE: Duration = Duration::from_secs(3600);
/// How long connections that are cut may take to end.
const LAST: Duration = Duration::from_secs(1);

/// What a server is, beside what it answers.
#[derive(Clone, Copy)]
pub struct Server<'a> {
    /// Listening and limits.
    pub config: &'a ServerConfig,
    /// Who it is, and how callers say who they are.
    pub identity: &'a IdentityConfig,
    /// Which roles may make which call; a call that is not in it nobody may make, where callers are asked.
    pub roles: Roles,
    /// Encoded file descriptor sets, for reflection.
    pub descriptors: &'a [&'a [u8]],
}

impl Server<'_> {
    /// Serves `routes` on `listener`, and on `admin_listen`, until `shutdown`, then drains.
    ///
    /// Each call ends at its deadline (in its extensions: [`crate::deadline::Deadline`]), and a panic in one is INTERNAL for that call
    /// only. `grpc.health.v1` answers from `health`, and reflection tells of the services that `health` names. Services bound their
    /// messages themselves, by `max_decoding_message_size`.
    ///
    /// Drain: health turns NOT_SERVING, no connection is accepted, calls in flight go on for at most
    /// `config.drain`; then their connections are cut.
    ///
    /// # Errors
    /// If a certificate or key cannot be read, an address cannot be bound, the descriptors are malformed, or the server fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        routes: Routes,
        health: Health,
        shutdown: Shutdown,
    ) -> anyhow::Result<()> {
        metrics::begin();
        let config = self.config;
        let identity = Arc::new(Identity::load(self.identity)?);
        let doors = self.doors(listener).await?;
        let routes = self.routes(routes, &health)?;
        let guard = GuardLayer::new(config.default_deadline, config.max_deadline);
        // Ends every connection when requested, and also when this future is dropped.
        let (cut, cutting) = Shutdown::manual();
        systemd::ready();
        let serving = builder(config, identity.tls.is_some())
            .layer(self.entry(&identity))
            .layer(guard)
            .add_routes(routes)
            .serve_with_incoming_shutdown(accept(doors, config, identity, cutting), async {
                shutdown.requested().await;
                info!("draining");
                systemd::stopping();
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
        match timeout(LAST, serving).await {
            Ok(served) => Ok(served?),
            Err(_) => Ok(()),
        }
    }

    /// Where calls come in.
    async fn doors(&self, listener: TcpListener) -> anyhow::Result<Vec<Door>> {
        let mut doors = vec![Door {
            listener,
            admin: false,
        }];
        let address = &self.config.admin_listen;
        if !address.is_empty() {
            let listener = TcpListener::bind(address).await;
            let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
            info!(address = %listener.local_addr()?, "listening for operators");
            doors.push(Door {
                listener,
                admin: true,
            });
        }
        Ok(doors)
    }

    /// All that is answered.
    fn routes(&self, routes: Routes, health: &Health) -> anyhow::Result<Routes> {
        let routes = routes.add_service(HealthServer::new(health.clone()));
        if !self.config.reflection {
            return Ok(routes);
        }
        reflect(routes, self.descriptors, health).context("malformed descriptors")
    }

    /// What decides whether a call comes in.
    fn entry(&self, identity: &Arc<Identity>) -> EntryLayer {
        let config = self.config;
        let table = Table::new(self.roles);
        EntryLayer::new(Entry {
            calls: Calls::new(table.paths()),
            table,
            identity: Arc::clone(identity),
            rate: Rate::new(config.calls_per_second),
            rooms: Rooms::new(config.max_in_flight),
            time: (config.default_deadline, config.max_deadline),
            slow: config.slow_call,
            apart: !config.admin_listen.is_empty(),
        })
    }
}

fn builder(config: &ServerConfig, tls: bool) -> transport::Server {
    let builder = transport::Server::builder();
    // Whoever was let in by a certificate or an authority that is taken out must come in again.
    let builder = match tls {
        true => builder.max_connection_age(AGE),
        false => builder,
    };
    builder
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
