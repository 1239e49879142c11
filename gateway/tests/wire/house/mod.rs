//! A house for the gateway to face: a true store, true servers with canned data, and the gateway itself.

pub(crate) mod item_tower;
pub(crate) mod peer;
pub(crate) mod user_tower;

use std::{future::Future, net::SocketAddr, time::Duration};

use gateway::config::{Config, DEFAULTS};
use generation::{
    manifest::{Engine, Manifest, Metric, ShardEntry},
    partition,
    publish::{Draft, Staging},
    rows::Rows,
    store::{Members, Store},
};
use proto::v1::{
    ListGenerationsRequest, RecallRequest, RecallResponse,
    generation_service_client::GenerationServiceClient, recall_service_client::RecallServiceClient,
};
use service::drain::{Shutdown, Trigger};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use tonic::{Request, Status, transport::Channel};

use item_tower::ItemTower;
use user_tower::UserTower;

/// Numbers a vector.
pub(crate) const DIM: usize = 4;
/// Items of every generation: 1 to this; the smaller the id, the better its score.
pub(crate) const ITEMS: u64 = 240;

/// A store, towers, and a gateway over them.
pub(crate) struct House {
    pub(crate) store: Store,
    pub(crate) item_towers: Vec<ItemTower>,
    pub(crate) user_towers: Vec<UserTower>,
    pub(crate) config: Config,
    gateway: Option<Gateway>,
    others: Vec<Gateway>,
    _folder: TempDir,
}

struct Gateway {
    address: SocketAddr,
    channel: Channel,
    trigger: Trigger,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl House {
    /// Towers that run and hold nothing yet; no gateway yet.
    pub(crate) async fn new(item_towers: usize, user_towers: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store").to_str().unwrap().to_owned();
        let mut config: Config = service::config::parse(DEFAULTS).unwrap();
        config.store = store.clone();
        config.topology.refresh = Duration::from_millis(20);
        let store = Store::open(&store).unwrap();

        let item_towers: Vec<_> = (0..item_towers).map(|_| ItemTower::start()).collect();
        config.item_towers = item_towers.iter().map(ItemTower::uri).collect();
        let user_towers: Vec<_> = (0..user_towers).map(|_| UserTower::start()).collect();
        config.user_towers = user_towers.iter().map(UserTower::uri).collect();
        let names = (0..user_towers.len()).map(|at| format!("user-tower-{at}"));
        let members: Vec<_> = names.collect();
        let members = Members { epoch: 7, members };
        store.swap_members(None, &members).await.unwrap();
        for (tower, name) in user_towers.iter().zip(&members.members) {
            tower.state().epoch = 7;
            tower.state().name.clone_from(name);
        }
        Self {
            store,
            item_towers,
            user_towers,
            config,
            gateway: None,
            others: Vec::new(),
            _folder: folder,
        }
    }

    /// Two shards on a tower each, one user tower, and a gateway that answers from the generation returned.
    pub(crate) async fn usual() -> (Self, Manifest) {
        let mut house = Self::new(2, 1).await;
        let manifest = house.publish("space-a", 2).await;
        house.hold(&manifest, &[&[0], &[1]]);
        house.open().await;
        house.pinned(&manifest.id).await;
        (house, manifest)
    }

    /// Publishes a generation whose space is named `space`.
    pub(crate) async fn publish(&self, space: &str, shards: u32) -> Manifest {
        std::fs::create_dir_all(self.store.artifact_dir(space).unwrap()).unwrap();
        let staging = Staging::create(&self.store).unwrap();
        let mut entries = Vec::new();
        for shard in 0..shards {
            let ids = shard_items(shard, shards);
            let entry = ShardEntry::named(shard, ids.len() as u64);
            let file = |name: &str| staging.dir().join(name);
            let vectors = vec![1.0; ids.len() * DIM];
            Rows::write(&file(&entry.rows), DIM, &ids, &vectors).unwrap();
            std::fs::write(file(&entry.graph), "a graph").unwrap();
            std::fs::write(file(&entry.items_file), "items").unwrap();
            entries.push(entry);
        }
        let draft = Draft {
            space: space.to_owned(),
            dim: DIM,
            metric: Metric::Dot,
            shards: entries,
            engine: Engine {
                name: "none".to_owned(),
                version: "0".to_owned(),
                connectivity: 0,
                expansion_add: 0,
                expansion_search: 0,
            },
            updates_from: 0,
            catalog: None,
            report: None,
        };
        staging.commit(draft).await.unwrap()
    }

    /// Lets item tower i hold `shards[i]` of a generation, and every user tower its model.
    pub(crate) fn hold(&self, manifest: &Manifest, shards: &[&[u32]]) {
        for (tower, shards) in self.item_towers.iter().zip(shards) {
            tower.hold(manifest, shards);
        }
        for tower in &self.user_towers {
            tower.hold(manifest);
        }
    }

    /// Starts the gateway.
    pub(crate) async fn open(&mut self) {
        self.gateway = Some(self.start().await);
    }

    /// Starts one more gateway, and returns a connection to it.
    pub(crate) async fn open_another(&mut self) -> Channel {
        let gateway = self.start().await;
        let channel = gateway.channel.clone();
        self.others.push(gateway);
        eventually("another gateway answers", async || {
            recall_of(&channel, user("u", 1)).await.is_ok()
        })
        .await;
        channel
    }

    async fn start(&self) -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (trigger, shutdown) = Shutdown::manual();
        let serving = tokio::spawn(gateway::serve(self.config.clone(), listener, shutdown));
        let channel = Channel::from_shared(format!("http://{address}"));
        Gateway {
            address,
            channel: channel.unwrap().connect_lazy(),
            trigger,
            serving,
        }
    }

    /// Where the gateway listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.as_ref().unwrap().address
    }

    /// A connection to the gateway.
    pub(crate) fn channel(&self) -> Channel {
        self.gateway.as_ref().unwrap().channel.clone()
    }

    /// The generation that the gateway answers from.
    pub(crate) async fn serving(&self) -> Option<String> {
        let list = GenerationServiceClient::new(self.channel())
            .list_generations(ListGenerationsRequest {})
            .await
            .unwrap()
            .into_inner();
        let serving = list.generations.into_iter().find(|held| held.serving);
        serving.map(|held| held.id)
    }

    /// Waits until the gateway answers from the generation.
    pub(crate) async fn pinned(&self, generation: &str) {
        eventually("the generation is pinned", async || {
            self.serving().await.as_deref() == Some(generation)
        })
        .await;
    }

    /// Recalls with the time a patient caller gives.
    pub(crate) async fn recall(&self, request: RecallRequest) -> Result<RecallResponse, Status> {
        self.recall_within(Duration::from_secs(20), request).await
    }

    /// Recalls with a deadline.
    pub(crate) async fn recall_within(
        &self,
        deadline: Duration,
        request: RecallRequest,
    ) -> Result<RecallResponse, Status> {
        let mut request = Request::new(request);
        request.set_timeout(deadline);
        let answer = RecallServiceClient::new(self.channel())
            .recall(request)
            .await;
        answer.map(tonic::Response::into_inner)
    }

    /// Stops the gateway and expects it to end well.
    pub(crate) async fn close(mut self) {
        let gateway = self.gateway.take().unwrap();
        drop(gateway.channel);
        gateway.trigger.request();
        gateway.serving.await.unwrap().unwrap();
    }
}

/// Recalls by the gateway at the end of the connection.
pub(crate) async fn recall_of(
    gateway: &Channel,
    request: RecallRequest,
) -> Result<RecallResponse, Status> {
    let mut request = Request::new(request);
    request.set_timeout(Duration::from_secs(20));
    let mut client = RecallServiceClient::new(gateway.clone());
    client
        .recall(request)
        .await
        .map(tonic::Response::into_inner)
}

/// A recall of `page_size` items for a stored user.
pub(crate) fn user(user_id: &str, page_size: u32) -> RecallRequest {
    RecallRequest {
        user_id: user_id.to_owned(),
        page_size,
        ..Default::default()
    }
}

/// The candidates' ids.
pub(crate) fn ids(answer: &RecallResponse) -> Vec<u64> {
    answer.candidates.iter().map(|found| found.id).collect()
}

/// The items of a shard, ascending.
pub(crate) fn shard_items(shard: u32, shards: u32) -> Vec<u64> {
    (1..=ITEMS)
        .filter(|&id| partition::shard_of(id, shards) == shard)
        .collect()
}

/// The score of an item in a generation; no two generations share one.
pub(crate) fn score(generation: &str, id: u64) -> f32 {
    let mark = generation.bytes().fold(0_u32, |mark, byte| {
        mark.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    (mark % 1_000) as f32 + 1.0 / (1 + id) as f32
}

/// Polls until `holds`, for at most ten seconds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
