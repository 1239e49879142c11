//! A store with one artifact, an item tower over it and a catalog, and what a re-index of them should give.

use std::{fs, time::Duration};

use encoder::{artifact, sample::Sample};
use generation::{partition, store::Store};
use index_builder::{config::Config, error::Error, summary::Summary};
use proto::v1::{self as pb, search_service_client::SearchServiceClient};
use service::drain::{Shutdown, Trigger};
use tempfile::TempDir;
use tokio::{net::TcpListener, time::Instant};
use tonic::{Status, transport::Channel};

/// Items that the artifact knows: numbers, and what these keys make.
pub(crate) const KEYS: [&str; 2] = ["sku-7", "sku-8"];
pub(crate) const NUMBERS: u64 = 60;

/// A store with one artifact, an item tower over it, and a catalog.
pub(crate) struct Rig {
    dir: TempDir,
    pub(crate) store: Store,
    pub(crate) sample: Sample,
    pub(crate) space: String,
    pub(crate) channel: Channel,
    pub(crate) config: Config,
    running: Vec<Trigger>,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sample = Sample {
            items: (1..=NUMBERS).chain(KEYS.map(partition::item_id)).collect(),
            ..Sample::default()
        };
        let store = Store::open(dir.path().join("store").to_str().unwrap()).unwrap();
        let location = store.root().to_str().unwrap().to_owned();

        let (address, running) = item_tower(&location).await;
        let mut config = Config::defaults().unwrap();
        config.store = location;
        config.work = dir.path().join("index-builder");
        config.catalog = dir.path().join("items.jsonl");
        config.item_towers = vec![address.clone()];
        config.shards = 2;
        config.embed.chunk = 7;
        config.verify.hr_floor = 0.0;
        let channel = Channel::from_shared(address).unwrap().connect_lazy();
        let mut rig = Self {
            space: String::new(),
            dir,
            store,
            sample,
            channel,
            config,
            running: vec![running],
        };
        rig.space = rig.put_artifact(&rig.sample, None).await;
        rig.write_catalog(&lines(1..=NUMBERS));
        rig
    }

    /// Lets one more item tower embed.
    pub(crate) async fn add_item_tower(&mut self) {
        let (address, running) = item_tower(&self.config.store).await;
        self.config.item_towers.push(address);
        self.running.push(running);
    }

    /// Puts an artifact into the store; returns its space.
    pub(crate) async fn put_artifact(&self, sample: &Sample, report: Option<&str>) -> String {
        let dir = self.dir.path().join(format!("artifact-{}", sample.seed));
        sample.write(&dir).unwrap();
        if let Some(report) = report {
            fs::write(dir.join(artifact::REPORT), report).unwrap();
        }
        let space = artifact::seal(&dir, "test").unwrap();
        self.store.put_artifact(&dir, &space).await.unwrap();
        space
    }

    pub(crate) fn write_catalog(&self, text: &str) {
        fs::write(&self.config.catalog, text).unwrap();
    }

    pub(crate) async fn run(&self) -> Result<Summary, Error> {
        index_builder::run(self.config.clone()).await
    }

    /// Runs with some settings changed; returns why nothing was published, and checks that.
    pub(crate) async fn refusal(&self, change: impl FnOnce(&mut Config)) -> String {
        let before = self.serving().await;
        let mut config = self.config.clone();
        change(&mut config);
        let cause = index_builder::run(config).await.unwrap_err();
        assert_eq!(self.serving().await, before);
        cause.to_string()
    }

    pub(crate) async fn serving(&self) -> Option<String> {
        let current = self.store.current().await.unwrap();
        current.map(|current| current.value.serving)
    }

    /// The best `k` of all shards with the vector of item `id`.
    pub(crate) async fn search(
        &self,
        generation: &str,
        id: u64,
        k: usize,
    ) -> Result<Vec<u64>, Status> {
        self.nearest(generation, &self.sample.row(id), k).await
    }

    /// The best `k` of all shards.
    pub(crate) async fn nearest(
        &self,
        generation: &str,
        query: &[f32],
        k: usize,
    ) -> Result<Vec<u64>, Status> {
        let bytes = query.iter().flat_map(|value| value.to_le_bytes()).collect();
        let request = pb::SearchRequest {
            generation: generation.to_owned(),
            interests: Some(pb::Vectors {
                f32: bytes,
                dim: self.sample.dim as u32,
                space: self.space.clone(),
            }),
            shards: (0..self.config.shards)
                .map(|shard| pb::ShardQuery {
                    shard,
                    exclude: Vec::new(),
                })
                .collect(),
            k: k as u32,
            exact: false,
            filter: None,
            as_of: None,
            fresh_only: false,
            steady: false,
        };
        let answer = SearchServiceClient::new(self.channel.clone())
            .search(request)
            .await?;
        let mut hits: Vec<(f32, u64)> = answer
            .into_inner()
            .shards
            .into_iter()
            .flat_map(|hits| hits.scores.into_iter().zip(hits.ids))
            .collect();
        hits.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        Ok(hits.into_iter().take(k).map(|(_, id)| id).collect())
    }

    /// Waits until the item tower answers searches of `generation`.
    pub(crate) async fn served(&self, generation: &str) {
        let patience = Instant::now() + Duration::from_secs(20);
        while let Err(cause) = self.search(generation, 1, 1).await {
            assert!(Instant::now() < patience, "{cause}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The ids best first by their score with the vector of item `id`.
    pub(crate) fn ranking(&self, id: u64, ids: impl Iterator<Item = u64>) -> Vec<u64> {
        ranking(&self.sample.row(id), |id| self.sample.row(id), ids)
    }
}

/// Starts an item tower over a store; returns its address.
async fn item_tower(store: &str) -> (String, Trigger) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (running, shutdown) = Shutdown::manual();
    let mut tower: item_tower::config::Config =
        service::config::parse(item_tower::config::DEFAULTS).unwrap();
    tower.store = store.to_owned();
    tower.shards.refresh = Duration::from_millis(20);
    tokio::spawn(item_tower::serve(tower, listener, shutdown));
    (address, running)
}

/// The ids best first by their row's score with the query.
pub(crate) fn ranking(
    query: &[f32],
    row: impl Fn(u64) -> Vec<f32>,
    ids: impl Iterator<Item = u64>,
) -> Vec<u64> {
    let score = |id: u64| -> f32 { row(id).iter().zip(query).map(|(a, b)| a * b).sum() };
    let mut ids: Vec<u64> = ids.collect();
    ids.sort_by(|a, b| score(*b).total_cmp(&score(*a)).then(a.cmp(b)));
    ids
}

pub(crate) fn lines(ids: impl IntoIterator<Item = u64>) -> String {
    let line = |id| {
        format!(
            "{{\"id\":{id},\"title\":\"Item {id}\",\"popularity\":{},\"features\":{{}}}}\n",
            id % 10
        )
    };
    ids.into_iter().map(line).collect()
}
