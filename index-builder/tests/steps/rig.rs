//! A store with one artifact, an item tower that knows its vectors, a catalog, and the builder's binary.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use encoder::{artifact, features::CatalogItem, sample::Sample};
use futures::{StreamExt as _, stream::BoxStream};
use generation::store::Store;
use index_builder::{config::Config, error::Error, summary::Summary};
use proto::v1::{
    self as pb,
    item_tower_service_server::{ItemTowerService, ItemTowerServiceServer},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// Items that the artifact knows.
pub(crate) const ITEMS: u64 = 400;

pub(crate) struct Rig {
    dir: TempDir,
    runtime: Runtime,
    pub(crate) sample: Sample,
    pub(crate) space: String,
    pub(crate) config: Config,
    /// Items that were embedded.
    pub(crate) embedded: Arc<AtomicU64>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::of(ITEMS)
    }

    pub(crate) fn of(items: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let sample = Sample {
            items: (1..=items).collect(),
            ..Sample::default()
        };
        let embedded = Arc::new(AtomicU64::new(0));
        let address = runtime.block_on(serve(sample.clone(), Arc::clone(&embedded)));
        let mut config = Config::defaults().unwrap();
        config.store = dir.path().join("store").display().to_string();
        config.work = dir.path().join("work");
        config.catalog = dir.path().join("items.jsonl");
        config.item_towers = vec![address];
        config.shards = 2;
        config.embed.chunk = 7;
        config.verify.hr_floor = 0.0;
        let mut rig = Self {
            dir,
            runtime,
            sample,
            space: String::new(),
            config,
            embedded,
        };
        rig.space = rig.put_artifact(&rig.sample.clone());
        rig.config.artifact = rig.space.clone();
        rig.write_catalog(1..=items);
        rig
    }

    pub(crate) fn put_artifact(&self, sample: &Sample) -> String {
        let dir = self.path(&format!("artifact-{}", sample.seed));
        sample.write(&dir).unwrap();
        let space = artifact::seal(&dir, "test").unwrap();
        let store = Store::open(&self.config.store).unwrap();
        self.runtime
            .block_on(store.put_artifact(&dir, &space))
            .unwrap();
        space
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write_catalog(&self, ids: impl IntoIterator<Item = u64>) {
        let line = |id| serde_json::to_string(&item(id)).unwrap() + "\n";
        let text: String = ids.into_iter().map(line).collect();
        fs::write(&self.config.catalog, text).unwrap();
    }

    pub(crate) fn run(&self) -> Result<Summary, Error> {
        self.runtime
            .block_on(index_builder::run(self.config.clone()))
    }

    pub(crate) fn serving(&self) -> Option<String> {
        let store = Store::open(&self.config.store).unwrap();
        let current = self.runtime.block_on(store.current()).unwrap();
        current.map(|current| current.value.serving)
    }

    /// The rows, items and popularity files of a generation: all that must be the same however it came about.
    pub(crate) fn files(&self, generation: &str) -> BTreeMap<String, Vec<u8>> {
        let dir = Path::new(&self.config.store)
            .join("generations")
            .join(generation);
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if !name.ends_with(".graph") && name != "manifest.json" {
                files.insert(name, fs::read(&path).unwrap());
            }
        }
        files
    }

    /// The builder with the rig's settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let file = self.path("index-builder.toml");
        fs::write(&file, toml(&self.config)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_index-builder"));
        command
            .args(arguments)
            .args(["--json", "--config"])
            .arg(file);
        command.env("RUST_LOG", "warn");
        command
    }

    /// Runs the builder to its end; returns its answer.
    pub(crate) fn step(&self, arguments: &[&str]) -> Value {
        let output = self.output(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs the builder, which is to fail; returns why it did.
    pub(crate) fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn embedded(&self) -> u64 {
        self.embedded.load(Ordering::Relaxed)
    }
}

/// An item that is the same in every format.
pub(crate) fn item(id: u64) -> CatalogItem {
    let mut item = CatalogItem {
        id,
        title: format!("Item {id}"),
        popularity: id % 10,
        ..CatalogItem::default()
    };
    item.features
        .insert("year".to_owned(), (id as f64 + 1_900.0).into());
    item.features
        .insert("kind".to_owned(), format!("k{}", id % 3).into());
    let genres = vec!["All".to_owned(), format!("g{}", id % 4)];
    item.features.insert("genres".to_owned(), genres.into());
    item
}

fn toml(config: &Config) -> String {
    let mut settings = serde_json::to_value(config).unwrap();
    let settings = settings.as_object_mut().unwrap();
    settings.remove("telemetry");
    let (tables, values): (Vec<_>, Vec<_>) =
        settings.iter().partition(|(_, value)| value.is_object());
    let mut text: String = values
        .iter()
        .map(|(name, value)| format!("{name} = {value}\n"))
        .collect();
    for (name, table) in tables {
        text += &format!("[{name}]\n");
        for (name, value) in table.as_object().unwrap() {
            text += &format!("{name} = {value}\n");
        }
    }
    text
}

/// Starts an item tower that answers with the sample's vectors; returns its address.
async fn serve(sample: Sample, embedded: Arc<AtomicU64>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let incoming = futures::stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    let tower = Tower { sample, embedded };
    let server = Server::builder().add_service(ItemTowerServiceServer::new(tower));
    tokio::spawn(server.serve_with_incoming(incoming));
    address
}

#[derive(Clone)]
struct Tower {
    sample: Sample,
    embedded: Arc<AtomicU64>,
}

impl Tower {
    fn answer(&self, request: pb::EmbedItemsRequest) -> pb::EmbedItemsResponse {
        let count = request.items.len() as u64;
        self.embedded.fetch_add(count, Ordering::Relaxed);
        let items = request.items.iter();
        let values = items.flat_map(|item| self.sample.row(item.id));
        pb::EmbedItemsResponse {
            vectors: Some(pb::Vectors {
                f32: values.flat_map(f32::to_le_bytes).collect(),
                dim: self.sample.dim as u32,
                space: request.artifact,
            }),
        }
    }
}

#[tonic::async_trait]
impl ItemTowerService for Tower {
    type EmbedItemsStream = BoxStream<'static, Result<pb::EmbedItemsResponse, Status>>;

    async fn embed_items(
        &self,
        requests: Request<Streaming<pb::EmbedItemsRequest>>,
    ) -> Result<Response<Self::EmbedItemsStream>, Status> {
        let tower = self.clone();
        let answers = requests.into_inner();
        let answers = answers.map(move |request| Ok(tower.answer(request?)));
        Ok(Response::new(answers.boxed()))
    }

    async fn get_item_model_signature(
        &self,
        _: Request<pb::GetItemModelSignatureRequest>,
    ) -> Result<Response<pb::GetItemModelSignatureResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }
}
