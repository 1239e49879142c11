//! Every RPC of every server of a house, by the descriptors.

use std::{fmt, time::Duration};

use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::codegen::http::uri::PathAndQuery;

/// A server of the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Server {
    Gateway,
    UserTower,
    ItemTower,
}

/// Who serves what.
const SERVED: [(&str, &[Server]); 9] = [
    ("twotower.v1.RecallService", &[Server::Gateway]),
    ("twotower.v1.TrafficService", &[Server::Gateway]),
    (
        "twotower.v1.EventService",
        &[Server::Gateway, Server::UserTower],
    ),
    (
        "twotower.v1.CatalogService",
        &[Server::Gateway, Server::ItemTower],
    ),
    (
        "twotower.v1.GenerationService",
        &[Server::Gateway, Server::UserTower, Server::ItemTower],
    ),
    ("twotower.v1.UserTowerService", &[Server::UserTower]),
    ("inference.GRPCInferenceService", &[Server::UserTower]),
    ("twotower.v1.SearchService", &[Server::ItemTower]),
    ("twotower.v1.ItemTowerService", &[Server::ItemTower]),
];

/// How long a call may take that is not to wait for anything.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a search may wait for a delta that never comes.
const BEHIND: Duration = Duration::from_millis(200);
/// How long a call that ends with its deadline only may last.
const WATCHED: Duration = Duration::from_millis(3);

/// An RPC of a server.
#[derive(Clone, Debug)]
pub(crate) struct Rpc {
    pub(crate) server: Server,
    pub(crate) method: MethodDescriptor,
}

impl Rpc {
    /// All of them.
    ///
    /// # Panics
    /// If nobody serves a service of the descriptors, as far as is known here.
    pub(crate) fn all() -> Vec<Self> {
        let pool = DescriptorPool::decode(proto::DESCRIPTORS).unwrap();
        let mut all = Vec::new();
        for service in pool.services() {
            let name = service.full_name();
            let served = SERVED.iter().find(|(served, _)| *served == name);
            let (_, servers) = served.unwrap_or_else(|| panic!("nobody serves {name}"));
            for method in service.methods() {
                all.extend(servers.iter().map(|server| Self {
                    server: *server,
                    method: method.clone(),
                }));
            }
        }
        all
    }

    /// Its path, as `/twotower.v1.RecallService/Recall`.
    pub(crate) fn path(&self) -> PathAndQuery {
        let service = self.method.parent_service();
        let path = format!("/{}/{}", service.full_name(), self.method.name());
        path.parse().unwrap()
    }

    pub(super) fn deadline(&self) -> Duration {
        match self.method.name() {
            "WatchGeneration" => WATCHED,
            "Search" | "GetVectors" => BEHIND,
            _ => PATIENCE,
        }
    }
}

impl fmt::Display for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the {:?}", self.method.full_name(), self.server)
    }
}
