//! A server in a runtime of its own, so that killing it cuts its connections as the death of a process does.

use std::net::SocketAddr;

use service::health::Health;
use tokio::{net::TcpListener, runtime::Runtime};
use tonic::{service::Routes, transport::Server};
use tonic_health::pb::health_server::HealthServer;

/// A server that can be killed.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Peer {
    /// Serves on a free port.
    pub(crate) fn start(routes: Routes, health: Health) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            Server::builder()
                .add_routes(routes.add_service(HealthServer::new(health)))
                .serve_with_incoming(incoming)
                .await
        });
        Self {
            address,
            runtime: Some(runtime),
        }
    }

    /// Ends it at once: connections are cut and new ones refused.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}
