//! A true item tower on a free port, over a store of the test's own.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use encoder::sample::Sample;
use futures::stream;
use generation::{
    manifest::{Engine, Metric, ShardEntry},
    partition,
    publish::{Draft, Staging},
    rows::{Numbers, Rows, Storage},
    store::{Current, Store},
};
use index::{
    hnsw::{self, HnswConfig},
    rows::{RowsView, halves},
};
use item_tower::config::{Config, DEFAULTS};
use proto::v1::{
    self as pb, catalog_service_client::CatalogServiceClient,
    generation_service_client::GenerationServiceClient,
    item_tower_service_client::ItemTowerServiceClient, search_service_client::SearchServiceClient,
};
use service::{
    config,
    drain::{Shutdown, Trigger},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{Status, transport::Channel};

/// Shards of every generation here.
pub(crate) const SHARDS: u32 = 2;

/// A store with one artifact, and item towers over it.
pub(crate) struct Rig {
    /// The store.
    pub(crate) store: Store,
    /// The artifact's model.
    pub(crate) sample: Sample,
    /// The artifact's name.
    pub(crate) space: String,
    /// How generations store vectors.
    pub(crate) storage: Storage,
    dir: TempDir,
}

/// A running item tower.
pub(crate) struct Tower {
    /// A connection to it.
    pub(crate) channel: Channel,
    trigger: Trigger,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl Rig {
    /// A store with the sample's artifact and no generation.
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sample = Sample {
            items: (1..=60).collect(),
            ..Sample::default()
        };
        let space = sample.write(&dir.path().join("artifact")).unwrap();
        let store = Store::open(dir.path().join("store").to_str().unwrap()).unwrap();
        store
            .put_artifact(&dir.path().join("artifact"), &space)
            .await
            .unwrap();
        Self {
            store,
            sample,
            space,
            storage: Storage::F32,
            dir,
        }
    }

    /// Goes on with another artifact.
    pub(crate) async fn adopt(&mut self, sample: Sample) {
        let dir = self.dir.path().join(format!("artifact-{}", sample.seed));
        self.space = sample.write(&dir).unwrap();
        self.sample = sample;
        self.store.put_artifact(&dir, &self.space).await.unwrap();
    }

    /// Starts an item tower that looks at the store often.
    pub(crate) async fn start(&self, change: impl FnOnce(&mut Config)) -> Tower {
        let mut config: Config = config::parse(DEFAULTS).unwrap();
        config.store = self.store.root().to_str().unwrap().to_owned();
        config.shards.refresh = Duration::from_millis(20);
        config.updates.refresh = Duration::from_millis(20);
        config.models.sessions = 1;
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let (trigger, shutdown) = Shutdown::manual();
        let serving = tokio::spawn(item_tower::serve(config, listener, shutdown));
        let channel = Channel::from_shared(format!("http://{address}")).unwrap();
        Tower {
            channel: channel.connect().await.unwrap(),
            trigger,
            serving,
        }
    }

    /// Publishes a generation of the items `ids`; returns its id.
    pub(crate) async fn publish(&self, ids: impl IntoIterator<Item = u64>) -> String {
        self.publish_as_of(ids, 0).await
    }

    /// The same of one that holds the deltas up to a number.
    pub(crate) async fn publish_as_of(
        &self,
        ids: impl IntoIterator<Item = u64>,
        updates_from: u64,
    ) -> String {
        let staging = Staging::create(&self.store).unwrap();
        let ids: Vec<u64> = ids.into_iter().collect();
        let shards = (0..SHARDS).map(|shard| self.write_shard(&staging, shard, &ids));
        let draft = Draft {
            space: self.space.clone(),
            dim: self.sample.dim,
            metric: Metric::Dot,
            shards: shards.collect(),
            engine: Engine {
                name: "usearch".to_owned(),
                version: hnsw::version().to_owned(),
                connectivity: 16,
                expansion_add: 64,
                expansion_search: 64,
            },
            updates_from,
            catalog: None,
            report: None,
        };
        let popular: Vec<(u64, u64)> = ids.iter().rev().map(|&id| (id, id * 10)).collect();
        let path = staging.dir().join("popularity.json");
        fs::write(path, serde_json::to_vec(&popular).unwrap()).unwrap();
        staging.commit(draft).await.unwrap().id
    }

    fn write_shard(&self, staging: &Staging, shard: u32, ids: &[u64]) -> ShardEntry {
        let home = |id: &u64| partition::shard_of(*id, SHARDS) == shard;
        let ids: Vec<u64> = ids.iter().copied().filter(home).collect();
        let mut vectors: Vec<f32> = ids.iter().flat_map(|&id| self.sample.row(id)).collect();
        let items: Vec<String> = ids
            .iter()
            .map(|id| {
                format!(
                    r#"{{"id":{id},"title":"Item {id}","popularity":{id}0,"features":{{"year":{year}}}}}"#,
                    year = 1900 + id
                )
            })
            .collect();
        let entry = ShardEntry {
            storage: self.storage,
            ..ShardEntry::named(shard, ids.len() as u64)
        };
        let path = |name: &str| staging.dir().join(name);
        let (rows, dim) = (path(&entry.rows), self.sample.dim);
        match self.storage {
            Storage::F32 => Rows::write(&rows, dim, &ids, &vectors).unwrap(),
            Storage::F16 => {
                let rounded = halves::round(RowsView::new(&ids, &vectors, dim)).unwrap();
                Rows::write_stored(&rows, dim, &ids, Numbers::F16(&rounded)).unwrap();
                halves::widen(&rounded, &mut vectors);
            }
        }
        index::build::build(
            RowsView::new(&ids, &vectors, self.sample.dim),
            &items,
            &HnswConfig {
                metric: hnsw::Metric::Dot,
                ..HnswConfig::default()
            },
            None,
            &path(&entry.graph),
            &path(&entry.items_file),
            &|_| {},
        )
        .unwrap();
        entry
    }

    /// A file of a published generation.
    pub(crate) fn file(&self, generation: &str, name: &str) -> PathBuf {
        let root = self.store.root();
        root.join("generations").join(generation).join(name)
    }

    /// Makes CURRENT say this, whatever it said.
    pub(crate) async fn point_at(&self, serving: &str, previous: Option<&str>) {
        let found = self.store.current().await.unwrap();
        let current = Current {
            previous: previous.map(str::to_owned),
            ..Current::of(serving)
        };
        let version = found.as_ref().map(|found| &found.version);
        self.store.swap_current(version, &current).await.unwrap();
    }

    /// A search of `shards` with the vector of item `id`.
    pub(crate) fn search(
        &self,
        generation: &str,
        id: u64,
        shards: &[u32],
        k: u32,
    ) -> pb::SearchRequest {
        pb::SearchRequest {
            generation: generation.to_owned(),
            interests: Some(vectors(&self.sample.row(id), self.sample.dim, &self.space)),
            shards: shards
                .iter()
                .map(|&shard| pb::ShardQuery {
                    shard,
                    exclude: Vec::new(),
                })
                .collect(),
            k,
            exact: false,
            filter: None,
            as_of: None,
            fresh_only: false,
            steady: false,
        }
    }

    /// The ids of `ids` best first by their score with the vector of item `id`, those of one shard.
    pub(crate) fn ranking(
        &self,
        id: u64,
        ids: impl IntoIterator<Item = u64>,
        shard: u32,
    ) -> Vec<u64> {
        let query = self.sample.row(id);
        let score = |id: u64| -> f32 {
            let row = self.sample.row(id);
            row.iter().zip(&query).map(|(a, b)| a * b).sum()
        };
        let home = |id: &u64| partition::shard_of(*id, SHARDS) == shard;
        let mut ids: Vec<u64> = ids.into_iter().filter(home).collect();
        ids.sort_by(|a, b| score(*b).total_cmp(&score(*a)).then(a.cmp(b)));
        ids
    }
}

impl Tower {
    /// Searches once.
    pub(crate) async fn search(
        &self,
        request: pb::SearchRequest,
    ) -> Result<Vec<pb::ShardHits>, Status> {
        let mut client = SearchServiceClient::new(self.channel.clone());
        Ok(client.search(request).await?.into_inner().shards)
    }

    /// The generations held and the shards of each.
    pub(crate) async fn held(&self) -> Vec<(String, Vec<u32>)> {
        let mut client = SearchServiceClient::new(self.channel.clone());
        let held = client.list_shards(pb::ListShardsRequest {}).await.unwrap();
        let shards = |held: pb::HeldGeneration| {
            let shards = held.shards.iter().map(|shard| shard.shard);
            (held.generation, shards.collect())
        };
        held.into_inner()
            .generations
            .into_iter()
            .map(shards)
            .collect()
    }

    /// The shards held of all generations.
    pub(crate) async fn shards(&self) -> Vec<pb::HeldShard> {
        let mut client = SearchServiceClient::new(self.channel.clone());
        let held = client.list_shards(pb::ListShardsRequest {}).await.unwrap();
        let generations = held.into_inner().generations.into_iter();
        generations.flat_map(|held| held.shards).collect()
    }

    /// Waits until exactly these generations are held, newest first.
    pub(crate) async fn holds(&self, generations: &[&str]) {
        eventually(async || {
            let held = self.held().await;
            held.iter()
                .map(|(id, _)| id.as_str())
                .eq(generations.iter().copied())
        })
        .await;
    }

    /// Embeds items with the artifact `space`, one chunk.
    pub(crate) async fn embed(
        &self,
        space: &str,
        ids: impl IntoIterator<Item = u64>,
    ) -> Result<pb::Vectors, Status> {
        let items = ids
            .into_iter()
            .map(|id| pb::ItemInput { id, features: None });
        let request = pb::EmbedItemsRequest {
            artifact: space.to_owned(),
            items: items.collect(),
        };
        let mut client = ItemTowerServiceClient::new(self.channel.clone());
        let answers = client.embed_items(stream::iter([request])).await?;
        let answer = answers.into_inner().message().await?;
        Ok(answer.unwrap().vectors.unwrap())
    }

    /// A client of the catalog.
    pub(crate) fn catalog(&self) -> CatalogServiceClient<Channel> {
        CatalogServiceClient::new(self.channel.clone())
    }

    /// A client of the generations.
    pub(crate) fn generations(&self) -> GenerationServiceClient<Channel> {
        GenerationServiceClient::new(self.channel.clone())
    }

    /// Whether `service` says that it serves.
    pub(crate) async fn healthy(&self, service: &str) -> bool {
        use tonic_health::pb::{
            HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
        };
        let request = HealthCheckRequest {
            service: format!("twotower.v1.{service}"),
        };
        let mut client = HealthClient::new(self.channel.clone());
        client.check(request).await.unwrap().into_inner().status() == ServingStatus::Serving
    }

    /// Stops it and waits for its end.
    pub(crate) async fn stop(self) {
        self.trigger.request();
        drop(self.channel);
        self.serving.await.unwrap().unwrap();
    }
}

/// Vectors as the wire has them.
pub(crate) fn vectors(values: &[f32], dim: usize, space: &str) -> pb::Vectors {
    pb::Vectors {
        f32: values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
        dim: dim as u32,
        space: space.to_owned(),
    }
}

/// Asks again until the answer is yes.
pub(crate) async fn eventually(mut ask: impl AsyncFnMut() -> bool) {
    let patience = tokio::time::Instant::now() + Duration::from_secs(20);
    while !ask().await {
        assert!(tokio::time::Instant::now() < patience, "it never came true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
