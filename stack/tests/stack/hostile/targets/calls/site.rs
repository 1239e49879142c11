//! A house of a small artifact whose vectors can be told in advance, so that nothing has to be trained.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path};

use encoder::sample::{Reads, Sample};
use generation::store::Store;
use index_builder::config::Config;
use prost::Message as _;
use prost_reflect::DynamicMessage;
use proto::v1::{RecallResponse, RecordEventsResponse};
use serde_json::json;
use stack::house::{House, Plan};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use super::{
    raw,
    rpc::{Rpc, Server},
    valid,
};

/// Items of the catalog.
const ITEMS: u64 = 80;
/// What callers may say that means something to every house.
const WORDS: [&str; 18] = [
    "1",
    "2",
    "nobody",
    "k",
    "rating",
    "genres",
    "kind",
    "year",
    "Drama",
    "a",
    "gender",
    "F",
    "user-tower-0",
    "user_tower",
    "history",
    "hours",
    "INT64",
    "FP32",
];
/// A recall with tokens for user "1", and one of no user that is known.
const WITH_TOKENS: &[u8] = b"\x0a\x011\x18\x05\x2a\x02\x28\x01";
const WELL: &[u8] = b"\x0a\x06nobody\x18\x05";

/// The house, and what is known of it.
pub(crate) struct Site {
    runtime: Runtime,
    folder: TempDir,
    house: House,
    space: String,
    servers: BTreeMap<Server, Channel>,
    rpcs: Vec<Rpc>,
    valid: BTreeMap<String, Vec<DynamicMessage>>,
    words: Vec<String>,
}

impl Site {
    /// Starts it with two generations and a few users. Blocks.
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (house, space, generations) = runtime.block_on(build(folder.path()));
        let servers = runtime.block_on(async {
            [
                (Server::Gateway, house.gateway),
                (Server::UserTower, house.user_tower),
                (Server::ItemTower, house.item_towers[0]),
            ]
            .map(|(server, address)| (server, channel(address)))
        });
        let mut site = Self {
            runtime,
            folder,
            house,
            space,
            servers: servers.into(),
            rpcs: Rpc::all(),
            valid: BTreeMap::new(),
            words: Vec::new(),
        };
        site.learn(&generations);
        site
    }

    /// Finds out what callers may say, and puts good messages together.
    fn learn(&mut self, generations: &[String; 2]) {
        let [previous, serving] = generations.each_ref().map(String::as_str);
        let space = self.space.clone();
        let mut words = vec![
            ("GENERATION", serving),
            ("PREVIOUS", previous),
            ("SPACE", space.as_str()),
        ];
        // The first write's token, then those of a recall that has seen it.
        let record = self.rpc("EventService/RecordEvents");
        let events = valid::of(&record, &words)[0].encode_to_vec();
        let written = self.call(&record, vec![events]).unwrap();
        let written = RecordEventsResponse::decode(&*written[0]).unwrap();
        let recalled = self.call(
            &self.rpc("RecallService/Recall"),
            vec![WITH_TOKENS.to_vec()],
        );
        let recalled = RecallResponse::decode(&*recalled.unwrap()[0]).unwrap();
        words.extend([
            ("WRITTEN", written.consistency_token.as_str()),
            ("PAGE", recalled.next_page_token.as_str()),
            ("RECALLED", recalled.recall_token.as_str()),
        ]);
        let said = words.iter().map(|(_, with)| (*with).to_owned());
        self.words = said.chain(WORDS.map(str::to_owned)).collect();
        let good = |rpc: &Rpc| (rpc.path().to_string(), valid::of(rpc, &words));
        self.valid = self.rpcs.iter().map(good).collect();
    }

    /// The first RPC whose path ends so.
    fn rpc(&self, name: &str) -> Rpc {
        let ends = |rpc: &&Rpc| rpc.path().as_str().ends_with(name);
        self.rpcs.iter().find(ends).unwrap().clone()
    }

    /// Every RPC of every server.
    pub(crate) fn rpcs(&self) -> &[Rpc] {
        &self.rpcs
    }

    /// Good messages of an RPC, if any are known.
    pub(crate) fn valid(&self, rpc: &Rpc) -> &[DynamicMessage] {
        self.valid
            .get(rpc.path().as_str())
            .map_or(&[], Vec::as_slice)
    }

    /// Texts that mean something here.
    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }

    /// Makes a call, and waits for all that is answered.
    pub(crate) fn call(&self, rpc: &Rpc, messages: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Status> {
        let channel = self.servers[&rpc.server].clone();
        let call = raw::call(channel, rpc.path(), messages, rpc.deadline());
        self.runtime.block_on(call)
    }

    /// Panics unless a recall is answered with candidates.
    pub(crate) fn is_well(&self) {
        let answers = self.call(&self.rpc("RecallService/Recall"), vec![WELL.to_vec()]);
        let answers = answers.unwrap_or_else(|status| panic!("a good recall fails: {status:?}"));
        let answer = RecallResponse::decode(&*answers[0]).unwrap();
        assert!(!answer.candidates.is_empty(), "{answer:?}");
    }

    /// Re-indexes a catalog of these bytes into a store of its own, in so far as it is one.
    pub(crate) fn index(&self, format: &str, catalog: &[u8]) {
        let work = self.folder.path().join("elsewhere");
        let tower = self.house.item_towers[0];
        let mut config = config(&work, &self.space, tower);
        config.catalog = work.join("items").with_extension(format);
        config.shards = 1;
        fs::write(&config.catalog, catalog).unwrap();
        if let Err(cause) = self.runtime.block_on(index_builder::run(config)) {
            assert!(!cause.to_string().is_empty());
        }
    }

    /// Stops it, and removes its files.
    pub(crate) fn stop(self) {
        drop(self.servers);
        self.runtime.block_on(self.house.stop()).unwrap();
    }
}

/// Makes the artifact, the house, and two generations; a store for other catalogs beside it.
async fn build(work: &Path) -> (House, String, [String; 2]) {
    let sample = Sample {
        items: (1..=ITEMS).collect(),
        reads: Reads::Ages,
        reads_kind: true,
        tells: true,
        ..Sample::default()
    };
    let artifact = work.join("artifact");
    let space = sample.write(&artifact).unwrap();
    for store in [work.join("store"), work.join("elsewhere/store")] {
        let store = Store::open(store.to_str().unwrap()).unwrap();
        store.put_artifact(&artifact, &space).await.unwrap();
    }
    let mut house = House::start(&Plan::at(work, 0)).await.unwrap();
    let mut generations = Vec::new();
    for items in [ITEMS - 1, ITEMS] {
        let config = config(work, &space, house.item_towers[0]);
        fs::write(&config.catalog, catalog(items)).unwrap();
        let published = index_builder::run(config).await.unwrap();
        generations.push(published.generation);
    }
    house.serves(&generations[1]).await.unwrap();
    (house, space, generations.try_into().unwrap())
}

/// What re-indexes below `work`.
fn config(work: &Path, space: &str, item_tower: SocketAddr) -> Config {
    let mut config = Config::defaults().unwrap();
    config.store = work.join("store").display().to_string();
    config.work = work.join("index-builder");
    config.catalog = work.join("items.jsonl");
    config.artifact = space.to_owned();
    config.item_towers = vec![format!("http://{item_tower}")];
    config.shards = 2;
    config.verify.hr_floor = 0.0;
    config
}

fn catalog(items: u64) -> String {
    let line = |id: u64| {
        let at = id as usize;
        let (genre, kind) = (["Drama", "War", "Comedy"][at % 3], ["a", "b"][at % 2]);
        let item = json!({
            "id": id,
            "title": format!("Item {id}"),
            "popularity": id % 10,
            "features": {"genres": [genre], "kind": kind, "year": 1_930 + id},
        });
        format!("{item}\n")
    };
    (1..=items).map(line).collect()
}

fn channel(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect_lazy()
}
