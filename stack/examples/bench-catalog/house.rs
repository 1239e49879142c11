//! A store with made-up artifacts, a catalog, and what serves them.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use encoder::sample::{KINDS, Sample};
use generation::store::Store;
use index_builder::{config::Config, summary::Summary};
use proto::v1::{ListShardsRequest, search_service_client::SearchServiceClient};
use service::drain::{Shutdown, Trigger};
use tempfile::TempDir;
use tokio::{net::TcpListener, time::Instant};
use tonic::transport::Channel;

/// A store, and artifacts in it.
pub(crate) struct Catalog {
    pub(crate) store: PathBuf,
    pub(crate) samples: Vec<(Sample, String)>,
    pub(crate) path: PathBuf,
    pub(crate) items: u64,
    pub(crate) folder: TempDir,
}

impl Catalog {
    /// A catalog of items 1 to `items`, and as many artifacts that know it and `more` items.
    pub(crate) async fn new(items: u64, more: u64, artifacts: u64) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let store = Store::open(&path("store").to_string_lossy())?;
        let mut samples = Vec::new();
        for seed in 1..=artifacts {
            let sample = Sample {
                items: (1..=items + more).collect(),
                // The vectors are noise. Of 8 numbers, a graph finds .99 of the nearest with 100 to 200 candidates, as it does of
                // vectors that were trained; of 32, it does not find that much with a thousand.
                dim: 8,
                seed,
                reads_kind: true,
                ..Sample::default()
            };
            let dir = path(&format!("artifact-{seed}"));
            let space = sample.write(&dir)?;
            store.put_artifact(&dir, &space).await?;
            samples.push((sample, space));
        }
        let catalog = Self {
            store: path("store"),
            samples,
            path: path("items.jsonl"),
            items,
            folder,
        };
        catalog.write(0)?;
        Ok(catalog)
    }

    /// Writes the catalog; `turn` decides of what kind one in a hundred items is.
    pub(crate) fn write(&self, turn: u64) -> anyhow::Result<()> {
        let mut file = BufWriter::new(File::create(&self.path)?);
        for id in 1..=self.items {
            let turn = if id % 100 == 0 { turn } else { 0 };
            let kind = KINDS[((id + turn) % 2) as usize];
            writeln!(
                file,
                r#"{{"id":{id},"title":"Item {id}","features":{{"kind":"{kind}"}}}}"#
            )?;
        }
        Ok(file.flush()?)
    }

    /// Makes a generation with an artifact.
    pub(crate) async fn index(
        &self,
        item_tower: &str,
        artifact: usize,
        reuse: bool,
    ) -> anyhow::Result<Summary> {
        let mut config = Config::defaults()?;
        config.store = text(&self.store);
        config.catalog = self.path.clone();
        config.work = self.folder.path().join("index-builder");
        config.artifact = self.samples[artifact].1.clone();
        config.item_towers = vec![item_tower.to_owned()];
        config.shards = 2;
        config.reuse = reuse;
        config.keep_generations = 2;
        config.verify.hr_floor = 0.0;
        Ok(index_builder::run(config).await?)
    }
}

/// An item tower that holds every shard; it stops when this is dropped.
pub(crate) struct Replica {
    pub(crate) address: String,
    pub(crate) channel: Channel,
    _running: Trigger,
}

impl Replica {
    /// Starts the `number`th of two replicas.
    pub(crate) async fn start(store: &Path, number: usize) -> anyhow::Result<Self> {
        let mut config: item_tower::config::Config =
            service::config::parse(item_tower::config::DEFAULTS)?;
        config.store = text(store);
        config.members = vec!["a".to_owned(), "b".to_owned()];
        config.member = config.members[number].clone();
        config.replicas = 2;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let (running, shutdown) = Shutdown::manual();
        tokio::spawn(item_tower::serve(config, listener, shutdown));
        Ok(Self {
            channel: Channel::from_shared(address.clone())?.connect_lazy(),
            address,
            _running: running,
        })
    }

    /// Waits until it holds the generation.
    pub(crate) async fn holds(&self, generation: &str) -> anyhow::Result<()> {
        let mut client = SearchServiceClient::new(self.channel.clone());
        let late = Instant::now() + Duration::from_secs(60);
        loop {
            let held = client.list_shards(ListShardsRequest {}).await;
            let held = held.map(|held| held.into_inner().generations);
            if held.is_ok_and(|held| held.iter().any(|held| held.generation == generation)) {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < late, "{generation} is not held");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
