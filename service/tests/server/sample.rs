//! A server whose handlers hang, panic and tell their time, for public clients to call.

use std::{
    convert::Infallible,
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use service::{
    Settings,
    config::{self, ServerConfig},
    deadline::Deadline,
    drain::{Shutdown, Trigger},
    health::Health,
    server,
    telemetry::TelemetryConfig,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{
    Request, Response, Status,
    body::Body,
    client::GrpcService,
    server::NamedService,
    service::Routes,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_client::HealthClient,
    health_server::{Health as Handler, HealthServer},
};
use tower::{Service, ServiceExt as _};

pub(crate) const NAME: &str = "twotower.v1.SampleService";

#[derive(Deserialize, Serialize)]
struct Config {
    server: ServerConfig,
    telemetry: TelemetryConfig,
}

impl Settings for Config {
    fn server(&self) -> &ServerConfig {
        &self.server
    }

    fn telemetry(&self) -> &TelemetryConfig {
        &self.telemetry
    }

    fn validate(&self) -> Result<(), config::Error> {
        Ok(())
    }
}

/// A service whose behaviour is the request's text: the health proto's shape, under another name.
#[derive(Clone)]
struct Sample;

#[tonic::async_trait]
impl Handler for Sample {
    type WatchStream = tokio_stream::Pending<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let deadline = Deadline::of(&request);
        match request.into_inner().service.as_str() {
            "hang" => std::future::pending().await,
            "panic" => panic!("the handler is on fire"),
            "remaining" => Err(Status::aborted(
                deadline.remaining().as_millis().to_string(),
            )),
            _ => Ok(Response::new(HealthCheckResponse::default())),
        }
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(tokio_stream::pending()))
    }
}

/// Serves the sample under its own name, since the server has the health service's already.
#[derive(Clone)]
struct Renamed(HealthServer<Sample>);

impl NamedService for Renamed {
    const NAME: &'static str = NAME;
}

impl Service<http::Request<Body>> for Renamed {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = <HealthServer<Sample> as Service<http::Request<Body>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Service::call(&mut self.0, rename(request, NAME, "grpc.health.v1.Health"))
    }
}

fn rename(mut request: http::Request<Body>, from: &str, to: &str) -> http::Request<Body> {
    let uri = request.uri().to_string().replace(from, to);
    *request.uri_mut() = uri.parse().unwrap();
    request
}

/// A running server; its sample service stands under `NAME`'s path.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) health: Health,
    pub(crate) trigger: Trigger,
    served: JoinHandle<anyhow::Result<()>>,
}

pub(crate) async fn start(change: impl FnOnce(&mut ServerConfig)) -> Running {
    let defaults = "[server]\nlisten = \"127.0.0.1:0\"\n[telemetry]\n";
    let mut config = config::parse::<Config>(defaults).unwrap().server;
    change(&mut config);
    let listener = TcpListener::bind(&config.listen).await.unwrap();
    let address = listener.local_addr().unwrap();
    let health = Health::new(&[NAME]);
    let (trigger, shutdown) = Shutdown::manual();
    let service = health.clone();
    let served = tokio::spawn(async move {
        let routes = Routes::new(Renamed(HealthServer::new(Sample)));
        server::serve(listener, &config, routes, &[], service, shutdown).await
    });
    Running {
        address,
        health,
        trigger,
        served,
    }
}

impl Running {
    pub(crate) async fn channel(&self) -> Channel {
        let uri = format!("http://{}", self.address);
        Endpoint::from_shared(uri).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn health_client(&self) -> HealthClient<Channel> {
        HealthClient::new(self.channel().await)
    }

    pub(crate) async fn sample(
        &self,
    ) -> HealthClient<
        impl GrpcService<Body, ResponseBody = Body, Error = tonic::transport::Error> + use<>,
    > {
        let renamed = |request| rename(request, "grpc.health.v1.Health", NAME);
        HealthClient::new(self.channel().await.map_request(renamed))
    }

    /// Requests the shutdown and waits until the server ended; fails after `limit`.
    pub(crate) async fn stop_within(self, limit: Duration) {
        self.trigger.request();
        let ended = tokio::time::timeout(limit, self.served).await;
        ended.expect("the server ends").unwrap().unwrap();
    }
}

pub(crate) fn ask(behaviour: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: behaviour.to_owned(),
    }
}

/// A request with the `grpc-timeout` that a public client would send.
pub(crate) fn ask_within(behaviour: &str, timeout: &str) -> Request<HealthCheckRequest> {
    let mut request = Request::new(ask(behaviour));
    let timeout = timeout.parse().unwrap();
    request.metadata_mut().insert("grpc-timeout", timeout);
    request
}
