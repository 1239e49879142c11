//! A store with a small artifact and a user tower over it, on port 0.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use encoder::sample::Sample;
use generation::{
    manifest::{Engine, Manifest, Metric, ShardEntry},
    partition,
    publish::{Draft, Staging},
    rows::Rows,
    store::Store,
};
use proto::v1::{
    DeleteUserRequest, DeleteUserResponse, EmbedUsersRequest, Event, GetUserRequest,
    GetUserResponse, ItemRef, ListGenerationsRequest, RecordEventsRequest, RecordEventsResponse,
    UserEmbedding, UserQuery, event_service_client::EventServiceClient,
    generation_service_client::GenerationServiceClient, item_ref::Name,
    user_tower_service_client::UserTowerServiceClient,
};
use service::{
    config,
    drain::{Shutdown, Trigger},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::StreamExt as _;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use user_tower::config::Config;

pub(crate) const EVENTS: &str = "twotower.v1.EventService";
pub(crate) const USERS: &str = "twotower.v1.UserTowerService";
/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A directory with a store, and the settings of a tower over it.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) config: Config,
}

/// A running tower.
pub(crate) struct Tower {
    pub(crate) uri: String,
    pub(crate) events: EventServiceClient<Channel>,
    pub(crate) users: UserTowerServiceClient<Channel>,
    trigger: Trigger,
    served: JoinHandle<anyhow::Result<()>>,
}

impl Site {
    /// An empty store.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config: Config = config::parse(user_tower::config::DEFAULTS).unwrap();
        let path = |name: &str| dir.path().join(name);
        config.store = path("store").display().to_string();
        config.history.path = path("history.redb");
        config.models.refresh = Duration::from_millis(20);
        Self { dir, config }
    }

    /// A store whose CURRENT serves a generation of the sample artifact.
    pub(crate) async fn published() -> Self {
        let site = Self::new();
        site.publish(&Sample::default()).await;
        site
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.config.store).unwrap()
    }

    /// Puts an artifact in the store, and publishes a generation of it; returns its id.
    pub(crate) async fn publish(&self, sample: &Sample) -> String {
        let artifact = self.dir.path().join(format!("artifact-{}", sample.seed));
        let space = sample.write(&artifact).unwrap();
        let store = self.store();
        store.put_artifact(&artifact, &space).await.unwrap();
        self.publish_as(&space, sample).await.id
    }

    pub(crate) async fn publish_as(&self, space: &str, sample: &Sample) -> Manifest {
        let rows = sample.items.iter().map(|id| (*id, sample.row(*id)));
        self.publish_rows(space, sample.dim, 1, rows.collect())
            .await
    }

    /// Publishes a generation of these rows, in `shards` shards.
    pub(crate) async fn publish_rows(
        &self,
        space: &str,
        dim: usize,
        shards: u32,
        rows: BTreeMap<u64, Vec<f32>>,
    ) -> Manifest {
        let staging = Staging::create(&self.store()).unwrap();
        let path = |name: &str| staging.dir().join(name);
        let write = |number: u32| {
            let of_shard = |id: &u64| partition::shard_of(*id, shards) == number;
            let ids: Vec<u64> = rows.keys().copied().filter(of_shard).collect();
            let vectors: Vec<f32> = ids.iter().flat_map(|id| rows[id].clone()).collect();
            let shard = ShardEntry::named(number, ids.len() as u64);
            Rows::write(&path(&shard.rows), dim, &ids, &vectors).unwrap();
            // A user tower reads neither.
            std::fs::write(path(&shard.graph), "graph").unwrap();
            std::fs::write(path(&shard.items_file), "items").unwrap();
            shard
        };
        let draft = Draft {
            space: space.to_owned(),
            dim,
            metric: Metric::Dot,
            shards: (0..shards).map(write).collect(),
            engine: Engine {
                name: "usearch".to_owned(),
                version: "2".to_owned(),
                connectivity: 16,
                expansion_add: 64,
                expansion_search: 64,
            },
            updates_from: 0,
            catalog: None,
            report: None,
        };
        staging.commit(draft).await.unwrap()
    }

    /// Starts a tower and waits until `service` serves.
    pub(crate) async fn start(&self, service: &str) -> Tower {
        self.start_as(self.config.clone(), service).await
    }

    /// Starts a tower with other settings over the same store.
    pub(crate) async fn start_as(&self, config: Config, service: &str) -> Tower {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let (trigger, shutdown) = Shutdown::manual();
        let served = tokio::spawn(user_tower::serve(config, listener, shutdown));
        wait_until(&uri, service, ServingStatus::Serving).await;
        Tower {
            events: EventServiceClient::connect(uri.clone()).await.unwrap(),
            users: UserTowerServiceClient::connect(uri.clone()).await.unwrap(),
            uri,
            trigger,
            served,
        }
    }
}

/// Waits until the server says that `service` is `status`.
pub(crate) async fn wait_until(uri: &str, service: &str, status: ServingStatus) {
    let reached = async {
        let endpoint = Endpoint::from_shared(uri.to_owned()).unwrap();
        let mut client = HealthClient::new(endpoint.connect().await.unwrap());
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let mut watch = client.watch(request).await.unwrap().into_inner();
        while watch.next().await.unwrap().unwrap().status() != status {}
    };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    reached.unwrap_or_else(|_| panic!("{service} never became {status:?}"));
}

impl Tower {
    pub(crate) async fn record(
        &mut self,
        events: Vec<Event>,
    ) -> Result<RecordEventsResponse, Status> {
        let request = RecordEventsRequest {
            events,
            members_epoch: 0,
        };
        Ok(self.events.record_events(request).await?.into_inner())
    }

    pub(crate) async fn get_user(&mut self, user: &str) -> Result<GetUserResponse, Status> {
        let request = GetUserRequest {
            user_id: user.to_owned(),
            ..GetUserRequest::default()
        };
        Ok(self.events.get_user(request).await?.into_inner())
    }

    /// Embeds one user with the generation that serves.
    pub(crate) async fn embed(&mut self, query: UserQuery) -> Result<UserEmbedding, Status> {
        let request = EmbedUsersRequest {
            users: vec![query],
            ..EmbedUsersRequest::default()
        };
        let answer = self.users.embed_users(request).await?.into_inner();
        assert_eq!(answer.users.len(), 1);
        Ok(answer.users.into_iter().next().unwrap())
    }

    pub(crate) async fn embed_stored(&mut self, user: &str) -> UserEmbedding {
        self.embed(stored(user)).await.unwrap()
    }

    /// Waits until all of these generations are held.
    pub(crate) async fn wait_for(&self, ids: &[&String]) {
        let mut client = GenerationServiceClient::connect(self.uri.clone())
            .await
            .unwrap();
        let held = async {
            loop {
                let list = client.list_generations(ListGenerationsRequest {}).await;
                let list = list.unwrap().into_inner().generations;
                if ids.iter().all(|id| list.iter().any(|held| held.id == **id)) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, held).await.unwrap();
    }

    pub(crate) async fn delete(&mut self, user: &str) -> DeleteUserResponse {
        let request = DeleteUserRequest {
            user_id: user.to_owned(),
            members_epoch: 0,
        };
        let deleted = self.events.delete_user(request).await;
        deleted.unwrap().into_inner()
    }

    pub(crate) async fn stop(self) {
        self.trigger.request();
        let stopped = tokio::time::timeout(PATIENCE, self.served).await;
        stopped.unwrap().unwrap().unwrap();
    }
}

pub(crate) fn stored(user: &str) -> UserQuery {
    UserQuery {
        user_id: user.to_owned(),
        ..UserQuery::default()
    }
}

pub(crate) fn event(user: &str, time: i64, event_id: &str, item: u64) -> Event {
    Event {
        user_id: user.to_owned(),
        item: Some(ItemRef {
            name: Some(Name::Id(item)),
        }),
        r#type: "rating".to_owned(),
        value: 4.0,
        time,
        event_id: event_id.to_owned(),
    }
}

/// The vector that the sample's user tower makes of a history of `items`.
pub(crate) fn expected(items: &[u64]) -> Vec<f32> {
    let event = |item: &u64| encoder::features::Event {
        item: *item,
        kind: String::new(),
        value: 0.0,
        time: 0,
    };
    Sample::default().user(&encoder::features::User {
        history: items.iter().map(event).collect(),
        ..encoder::features::User::default()
    })
}

pub(crate) fn vector(user: &UserEmbedding) -> Vec<f32> {
    let bytes = &user.interests.as_ref().unwrap().f32;
    bytes
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect()
}

pub(crate) fn check_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
    }
}

pub(crate) fn check_refused(status: &Status, code: Code, reason: &str) {
    let found = service::status::reason(status);
    assert_eq!(
        (status.code(), found.as_deref()),
        (code, Some(reason)),
        "{status}"
    );
}

/// Writes a dataset of `events.csv` lines for users with profiles.
pub(crate) fn dataset(dir: &std::path::Path, users: &[&str], lines: &[String]) -> PathBuf {
    let data = dir.join("data");
    std::fs::create_dir_all(&data).unwrap();
    let profiles = users
        .iter()
        .map(|user| format!("{{\"id\":\"{user}\",\"features\":{{\"gender\":\"F\",\"genres\":[\"War\"],\"year\":1990}}}}\n"));
    std::fs::write(data.join("users.jsonl"), profiles.collect::<String>()).unwrap();
    let header = "user,item,kind,value,time,event_id\n".to_owned();
    std::fs::write(data.join("events.csv"), header + &lines.concat()).unwrap();
    data
}
