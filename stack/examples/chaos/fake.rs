//! An item tower in front of a true one that counts the searches, and refuses them when told to.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use proto::v1::{
    GetVectorsRequest, GetVectorsResponse, ListShardsRequest, ListShardsResponse, SearchRequest,
    SearchResponse,
    search_service_client::SearchServiceClient,
    search_service_server::{SearchService, SearchServiceServer},
};
use service::{
    drain::{Shutdown, Trigger},
    health::Health,
    status,
};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, service::Routes, transport::Channel};

const SERVICE: &str = "twotower.v1.SearchService";

/// How searches are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// UNAVAILABLE, as a proxy says it.
    Plain,
    /// UNAVAILABLE, with a reason of the house.
    Reason,
    /// RESOURCE_EXHAUSTED, as a tower that sheds says it.
    Shed,
}

/// What all fakes share.
#[derive(Debug, Default)]
pub(crate) struct Told {
    refusal: Mutex<Option<Refusal>>,
    searches: AtomicU64,
}

impl Told {
    /// Refuses from now on, or no longer.
    pub(crate) fn refuse(&self, refusal: Option<Refusal>) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }

    /// How many searches came.
    pub(crate) fn searches(&self) -> u64 {
        self.searches.load(Relaxed)
    }
}

/// A fake; it stops when dropped.
pub(crate) struct Fake {
    pub(crate) uri: String,
    _running: Trigger,
}

impl Fake {
    /// Stands in front of the true tower.
    pub(crate) async fn start(tower: Channel, told: &Arc<Told>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let uri = format!("http://{}", listener.local_addr()?);
        let config: gateway::config::Config = service::config::parse(gateway::config::DEFAULTS)?;
        let (config, identity) = (config.server, config.identity);
        let service = Service {
            tower: SearchServiceClient::new(tower),
            told: Arc::clone(told),
        };
        let health = Health::new(&[SERVICE]);
        health.set(SERVICE, true);
        let (running, shutdown) = Shutdown::manual();
        tokio::spawn(async move {
            let routes = Routes::new(SearchServiceServer::new(service));
            let server = service::server::Server {
                config: &config,
                identity: &identity,
                roles: proto::roles::ROLES,
                descriptors: &[proto::DESCRIPTORS],
            };
            server.serve(listener, routes, health, shutdown).await
        });
        Ok(Self {
            uri,
            _running: running,
        })
    }
}

struct Service {
    tower: SearchServiceClient<Channel>,
    told: Arc<Told>,
}

#[tonic::async_trait]
impl SearchService for Service {
    async fn search(
        &self,
        request: Request<SearchRequest>,
    ) -> Result<Response<SearchResponse>, Status> {
        self.told.searches.fetch_add(1, Relaxed);
        let refusal = *self
            .told
            .refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match refusal {
            None => self.tower.clone().search(request.into_inner()).await,
            Some(Refusal::Plain) => Err(Status::unavailable("refused")),
            Some(Refusal::Reason) => Err(status::unavailable(status::NO_GENERATION, "refused")),
            Some(Refusal::Shed) => Err(status::exhausted(
                std::time::Duration::from_millis(50),
                "refused",
            )),
        }
    }

    async fn get_vectors(
        &self,
        request: Request<GetVectorsRequest>,
    ) -> Result<Response<GetVectorsResponse>, Status> {
        self.tower.clone().get_vectors(request.into_inner()).await
    }

    async fn list_shards(
        &self,
        _: Request<ListShardsRequest>,
    ) -> Result<Response<ListShardsResponse>, Status> {
        self.tower.clone().list_shards(ListShardsRequest {}).await
    }
}
