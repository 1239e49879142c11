//! The batch re-index, from a catalog file to a generation that a true item tower serves.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::PathBuf, time::Duration};

use encoder::{artifact, sample::Sample};
use generation::{partition, rollback::roll_back, store::Store};
use index_builder::{
    config::Config,
    error::Error,
    inspect::{self, Role},
    summary::Summary,
};
use proto::v1::{
    self as pb, catalog_service_client::CatalogServiceClient, item_ref::Name,
    search_service_client::SearchServiceClient,
};
use service::drain::{Shutdown, Trigger};
use tempfile::TempDir;
use tokio::{net::TcpListener, time::Instant};
use tonic::{Status, transport::Channel};

/// Items that the artifact knows: numbers, and what these keys make.
const KEYS: [&str; 2] = ["sku-7", "sku-8"];
const NUMBERS: u64 = 60;

/// A store with one artifact, an item tower over it, and a catalog.
struct Rig {
    dir: TempDir,
    store: Store,
    sample: Sample,
    space: String,
    channel: Channel,
    config: Config,
    _running: Trigger,
}

impl Rig {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sample = Sample {
            items: (1..=NUMBERS).chain(KEYS.map(partition::item_id)).collect(),
            ..Sample::default()
        };
        let store = Store::open(dir.path().join("store").to_str().unwrap()).unwrap();
        let location = store.root().to_str().unwrap().to_owned();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (running, shutdown) = Shutdown::manual();
        let mut tower: item_tower::config::Config =
            service::config::parse(item_tower::config::DEFAULTS).unwrap();
        tower.store.clone_from(&location);
        tower.shards.refresh = Duration::from_millis(20);
        tokio::spawn(item_tower::serve(tower, listener, shutdown));

        let mut config = Config::defaults().unwrap();
        config.store = location;
        config.catalog = dir.path().join("items.jsonl");
        config.item_tower.clone_from(&address);
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
            _running: running,
        };
        rig.space = rig.put_artifact(&rig.sample, None).await;
        rig.write_catalog(&lines(1..=NUMBERS));
        rig
    }

    /// Puts an artifact into the store; returns its space.
    async fn put_artifact(&self, sample: &Sample, report: Option<&str>) -> String {
        let dir = self.dir.path().join(format!("artifact-{}", sample.seed));
        sample.write(&dir).unwrap();
        if let Some(report) = report {
            fs::write(dir.join(artifact::REPORT), report).unwrap();
        }
        let space = artifact::seal(&dir, "test").unwrap();
        self.store.put_artifact(&dir, &space).await.unwrap();
        space
    }

    fn write_catalog(&self, text: &str) {
        fs::write(&self.config.catalog, text).unwrap();
    }

    async fn run(&self) -> Result<Summary, Error> {
        index_builder::run(self.config.clone()).await
    }

    /// Runs with some settings changed; returns why nothing was published, and checks that.
    async fn refusal(&self, change: impl FnOnce(&mut Config)) -> String {
        let before = self.serving().await;
        let mut config = self.config.clone();
        change(&mut config);
        let cause = index_builder::run(config).await.unwrap_err();
        assert_eq!(self.serving().await, before);
        cause.to_string()
    }

    async fn serving(&self) -> Option<String> {
        let current = self.store.current().await.unwrap();
        current.map(|current| current.value.serving)
    }

    /// The best `k` of all shards with the vector of item `id`.
    async fn search(&self, generation: &str, id: u64, k: usize) -> Result<Vec<u64>, Status> {
        self.nearest(generation, &self.sample.row(id), k).await
    }

    /// The best `k` of all shards.
    async fn nearest(&self, generation: &str, query: &[f32], k: usize) -> Result<Vec<u64>, Status> {
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
    async fn served(&self, generation: &str) {
        let patience = Instant::now() + Duration::from_secs(20);
        while let Err(cause) = self.search(generation, 1, 1).await {
            assert!(Instant::now() < patience, "{cause}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The ids best first by their score with the vector of item `id`.
    fn ranking(&self, id: u64, ids: impl Iterator<Item = u64>) -> Vec<u64> {
        ranking(&self.sample.row(id), |id| self.sample.row(id), ids)
    }
}

/// The ids best first by their row's score with the query.
fn ranking(
    query: &[f32],
    row: impl Fn(u64) -> Vec<f32>,
    ids: impl Iterator<Item = u64>,
) -> Vec<u64> {
    let score = |id: u64| -> f32 { row(id).iter().zip(query).map(|(a, b)| a * b).sum() };
    let mut ids: Vec<u64> = ids.collect();
    ids.sort_by(|a, b| score(*b).total_cmp(&score(*a)).then(a.cmp(b)));
    ids
}

fn lines(ids: impl IntoIterator<Item = u64>) -> String {
    let line = |id| {
        format!(
            "{{\"id\":{id},\"title\":\"Item {id}\",\"popularity\":{},\"features\":{{}}}}\n",
            id % 10
        )
    };
    ids.into_iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_becomes_a_generation_that_is_served() {
    let mut rig = Rig::new().await;
    rig.config.catalog_checks.bad_lines = 0.1;
    rig.write_catalog(
        &(lines(1..=NUMBERS + 5) + "{\"id\":\n" + "{\"key\":\"sku-7\",\"title\":\"Seven\"}\n"),
    );
    let summary = rig.run().await.unwrap();
    assert_eq!(
        (summary.items, summary.left_out, summary.bad_lines),
        (NUMBERS + 1, 5, 1)
    );
    assert_eq!(
        (summary.shards, summary.ann_recall, summary.hit_rate),
        (2, 1.0, None)
    );
    assert_eq!(summary.space, rig.space);
    assert_eq!(rig.serving().await.as_ref(), Some(&summary.generation));

    rig.served(&summary.generation).await;
    let seven = partition::item_id("sku-7");
    for id in [1, 30, seven] {
        let expected = rig.ranking(id, (1..=NUMBERS).chain([seven]));
        assert_eq!(
            rig.search(&summary.generation, id, 10).await.unwrap(),
            expected[..10]
        );
    }

    let mut catalog = CatalogServiceClient::new(rig.channel.clone());
    let items =
        [Name::Key("sku-7".to_owned()), Name::Id(3)].map(|name| pb::ItemRef { name: Some(name) });
    let request = pb::GetItemsRequest {
        generation: String::new(),
        items: items.to_vec(),
    };
    let found = catalog.get_items(request).await.unwrap().into_inner();
    let items: Vec<_> = found
        .items
        .iter()
        .map(|item| (item.id, item.key.as_str(), item.title.as_str()))
        .collect();
    assert_eq!(items, [(seven, "sku-7", "Seven"), (3, "", "Item 3")]);
    let request = pb::ListPopularItemsRequest {
        generation: String::new(),
        k: 3,
    };
    let popular = catalog
        .list_popular_items(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (popular.ids, popular.counts),
        (vec![9, 19, 29], vec![9, 9, 9])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_the_artifact_does_not_know_are_served_if_the_builder_is_told_so() {
    let mut rig = Rig::new().await;
    rig.sample = Sample {
        seed: 2,
        reads_kind: true,
        ..rig.sample
    };
    rig.space = rig.put_artifact(&rig.sample, None).await;
    rig.config.artifact = rig.space.clone();
    let described =
        |id: u64, kind: &str| format!("{{\"id\":{id},\"features\":{{\"kind\":\"{kind}\"}}}}\n");
    // Five unknown items: two of known kinds, one of an unknown kind, two of which nothing is told.
    let fresh = described(901, "a") + &described(902, "b") + &described(903, "c");
    rig.write_catalog(&(lines(1..=NUMBERS) + &fresh + &lines([904, 905])));
    let summary = rig.run().await.unwrap();
    assert_eq!((summary.items, summary.left_out), (NUMBERS, 5));

    rig.config.embed.unknown_items = true;
    let summary = rig.run().await.unwrap();
    assert_eq!((summary.items, summary.left_out), (NUMBERS + 2, 3));
    assert_eq!(summary.unknown_items, 2);
    rig.served(&summary.generation).await;
    let row = |id| match id {
        901 => rig.sample.kind("a"),
        902 => rig.sample.kind("b"),
        id => rig.sample.row(id),
    };
    let query = rig.sample.kind("a");
    let found = rig.nearest(&summary.generation, &query, 62).await.unwrap();
    let expected = ranking(&query, row, (1..=NUMBERS).chain([901, 902]));
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_go_on_while_generations_follow_one_another() {
    let rig = Rig::new().await;
    let mut generation = rig.run().await.unwrap().generation;
    rig.served(&generation).await;
    for last in [50, 40, 30] {
        rig.write_catalog(&lines(1..=last));
        let run = rig.run();
        tokio::pin!(run);
        let (mut searches, expected) = (0, rig.search(&generation, 7, 5).await.unwrap());
        let summary = loop {
            tokio::select! {
                done = &mut run => break done.unwrap(),
                found = rig.search(&generation, 7, 5) => {
                    assert_eq!(found.unwrap(), expected);
                    searches += 1;
                }
            }
        };
        assert!(searches > 0);
        assert_eq!(rig.search(&generation, 7, 5).await.unwrap(), expected);
        rig.served(&summary.generation).await;
        generation = summary.generation;
        assert_eq!(
            rig.search(&generation, 7, 5).await.unwrap(),
            rig.ranking(7, 1..=last)[..5]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_lists_checks_and_goes_back() {
    let rig = Rig::new().await;
    let old = rig.run().await.unwrap().generation;
    rig.write_catalog(&lines(1..=40));
    let new = rig.run().await.unwrap().generation;
    rig.served(&new).await;

    let listing = inspect::list(&rig.store).await.unwrap();
    let roles: Vec<_> = listing.0.iter().map(|listed| listed.role).collect();
    assert_eq!(roles, [Some(Role::Serving), Some(Role::Previous)]);
    let text = listing.to_string();
    let line = text.lines().find(|line| line.starts_with(&old)).unwrap();
    assert!(line.contains("previous") && line.contains(" 60 "), "{line}");

    let checked = inspect::check(&rig.store, None).await.unwrap();
    assert_eq!(
        (checked.generation.as_str(), checked.files),
        (new.as_str(), 7)
    );
    assert!(checked.problems.is_empty(), "{checked}");
    roll_back(&rig.store, None).await.unwrap();
    assert_eq!(rig.serving().await.as_ref(), Some(&old));
    let again = rig.search(&old, 7, 5).await.unwrap();
    assert_eq!(again, rig.ranking(7, 1..=NUMBERS)[..5]);

    let damaged = rig.store.root().join("generations").join(&new);
    let file = damaged.join("shard-0001.items");
    let mut bytes = fs::read(&file).unwrap();
    bytes[40] ^= 1;
    fs::remove_file(&file).unwrap();
    fs::write(&file, bytes).unwrap();
    let checked = inspect::check(&rig.store, Some(new.clone())).await.unwrap();
    assert_eq!(checked.problems.len(), 1, "{checked}");
    assert!(
        checked.problems[0].contains("shard-0001.items: blake3"),
        "{checked}"
    );
    let cause = roll_back(&rig.store, None).await.unwrap_err();
    assert!(cause.to_string().contains("blake3"), "{cause}");
    fs::remove_file(damaged.join("manifest.json")).unwrap();
    fs::write(damaged.join("manifest.json"), "{").unwrap();
    let listing = inspect::list(&rig.store).await.unwrap().to_string();
    assert!(listing.contains("manifest.json: EOF"), "{listing}");
    assert_eq!(rig.serving().await, Some(old));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_cannot_be_indexed_publishes_nothing() {
    let rig = Rig::new().await;
    rig.run().await.unwrap();

    rig.write_catalog(&(lines(1..=9) + &lines([4])));
    let cause = rig.refusal(|_| {}).await;
    assert!(
        cause.ends_with("items.jsonl: lines 4 and 10 both have item id 4"),
        "{cause}"
    );

    rig.write_catalog(&(lines(1..=9) + "garbage\n"));
    let cause = rig.refusal(|_| {}).await;
    assert!(cause.contains("1 of 10 lines hold no item"), "{cause}");

    rig.write_catalog(&lines(1_000..1_009));
    let cause = rig.refusal(|_| {}).await;
    assert!(
        cause.contains("a vector of none of the catalog's 9 items"),
        "{cause}"
    );

    rig.write_catalog(&lines([1]));
    let cause = rig.refusal(|_| {}).await;
    assert!(cause.contains("none of the 1 items"), "{cause}");

    let cause = rig
        .refusal(|config| config.catalog = PathBuf::from("nowhere.jsonl"))
        .await;
    assert!(cause.starts_with("nowhere.jsonl: "), "{cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_below_the_floor_or_without_a_report_publishes_nothing() {
    let mut rig = Rig::new().await;
    let cause = rig.refusal(|config| config.verify.hr_floor = 0.2).await;
    assert!(cause.contains("has no report with hr@10"), "{cause}");

    let sample = Sample {
        seed: 2,
        ..rig.sample.clone()
    };
    let reported = rig.put_artifact(&sample, Some("{\"hr@10\": 0.3}")).await;
    let cause = rig.refusal(|_| {}).await;
    let mut spaces = [rig.space.clone(), reported.clone()];
    spaces.sort();
    assert_eq!(
        cause,
        format!(
            "`artifact` names none and the store has 2: {}",
            spaces.join(", ")
        )
    );

    rig.config.artifact = reported;
    let cause = rig.refusal(|config| config.verify.hr_floor = 0.4).await;
    assert!(
        cause.contains("hr@10 0.3, verify.hr_floor asks for 0.4"),
        "{cause}"
    );
    rig.config.verify.hr_floor = 0.3;
    let summary = rig.run().await.unwrap();
    assert_eq!(
        (summary.hit_rate, summary.space),
        (Some(0.3), rig.config.artifact)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_tower_that_is_not_there_publishes_nothing() {
    let rig = Rig::new().await;
    let cause = rig
        .refusal(|config| config.item_tower = "http://127.0.0.1:1".to_owned())
        .await;
    assert!(
        cause.starts_with("item tower http://127.0.0.1:1 cannot be reached"),
        "{cause}"
    );
    let cause = rig
        .refusal(|config| config.item_tower = "not an address".to_owned())
        .await;
    assert!(cause.contains("is not an address"), "{cause}");
    let cause = rig.refusal(|config| config.artifact = "0".repeat(32)).await;
    assert!(cause.contains("artifact"), "{cause}");
}
