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
    client::Connector,
    config::{self, ServerConfig},
    deadline::Deadline,
    drain::{Shutdown, Trigger},
    health::Health,
    identity::{IdentityConfig, Roles},
    server::Server,
    telemetry::TelemetryConfig,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::Stream;
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
    identity: IdentityConfig,
    telemetry: TelemetryConfig,
}

impl Settings for Config {
    fn server(&self) -> &ServerConfig {
        &self.server
    }

    fn identity(&self) -> &IdentityConfig {
        &self.identity
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

/// Who may call the sample service.
const ROLES: Roles = &[
    ("/twotower.v1.SampleService/Check", &["reader", "service"]),
    ("/twotower.v1.SampleService/Watch", &["admin"]),
];

pub(crate) async fn start(change: impl FnOnce(&mut ServerConfig)) -> Running {
    start_as(|config, _| change(config)).await
}

/// Starts a server that knows who calls.
pub(crate) async fn start_as(
    change: impl FnOnce(&mut ServerConfig, &mut IdentityConfig),
) -> Running {
    let defaults = "[server]\nlisten = \"127.0.0.1:0\"\n[identity]\n[telemetry]\n";
    let parsed = config::parse::<Config>(defaults).unwrap();
    let (mut config, mut identity) = (parsed.server, parsed.identity);
    change(&mut config, &mut identity);
    let listener = TcpListener::bind(&config.listen).await.unwrap();
    let address = listener.local_addr().unwrap();
    let health = Health::new(&[NAME]);
    let (trigger, shutdown) = Shutdown::manual();
    let service = health.clone();
    let served = tokio::spawn(async move {
        let sample = HealthServer::new(Sample).max_decoding_message_size(config.max_message_bytes);
        let routes = Routes::new(Renamed(sample));
        let server = Server {
            config: &config,
            identity: &identity,
            roles: ROLES,
            descriptors: &[],
        };
        server.serve(listener, routes, service, shutdown).await
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

    pub(crate) fn endpoint(&self, scheme: &str) -> Endpoint {
        Endpoint::from_shared(format!("{scheme}://{}", self.address)).unwrap()
    }

    /// The sample service, connected to by `connector`.
    pub(crate) async fn sample_by(
        &self,
        connector: &Connector,
    ) -> Result<
        HealthClient<
            impl GrpcService<Body, ResponseBody = Body, Error = tonic::transport::Error> + use<>,
        >,
        tonic::transport::Error,
    > {
        let renamed = |request| rename(request, "grpc.health.v1.Health", NAME);
        let channel = connector.connect(self.endpoint("https")).await?;
        Ok(HealthClient::new(channel.map_request(renamed)))
    }

    /// Calls the sample service with `messages` that come one by one.
    pub(crate) async fn stream_to_sample(
        &self,
        connector: &Connector,
        messages: impl Stream<Item = HealthCheckRequest> + Send + 'static,
    ) -> Result<(), Status> {
        let channel = connector.connect(self.endpoint("https")).await.unwrap();
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await.unwrap();
        let path = format!("/{NAME}/Check").parse().unwrap();
        let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
        let call = client.client_streaming(Request::new(messages), path, codec);
        call.await.map(|_| ())
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
