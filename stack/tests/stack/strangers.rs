//! Towers that somebody else made are taken in, indexed and served: by files and commands, without a line of Rust.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use encoder::{
    features::{Event, User},
    sample::{Reads, Sample},
};
use generation::store::Store;
use onnx::{
    adopt,
    dataset::{Dataset, generator, split::ItemSet},
    evaluate,
};
use proto::v1::{EmbedUsersRequest, UserQuery, user_tower_service_client::UserTowerServiceClient};
use stack::{
    fill,
    house::{House, Plan, SHARDS},
    served,
};
use tempfile::TempDir;

/// A folder with prepared data and an empty store.
struct Site {
    folder: TempDir,
    dataset: Dataset,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dataset = generator::generate(&generator::Options {
            users: 60,
            items: 150,
            events: 3_000,
            ..Default::default()
        });
        dataset.write(&folder.path().join("data")).unwrap();
        Self { folder, dataset }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Indexes the catalog with an artifact of the store, and imports everything but the test events.
    async fn serve(&self, space: &str) -> (House, String) {
        let mut house = House::start(&Plan::at(self.folder.path(), 0))
            .await
            .unwrap();
        let item_tower = format!("http://{}", house.item_towers[0]);
        let (store, data) = (self.path("store"), self.path("data"));
        let indexed = fill::index(&store, &data, space, &item_tower, SHARDS)
            .await
            .unwrap();
        let held = fill::held_back(&self.dataset, ItemSet::S);
        let user_tower = format!("http://{}", house.user_tower);
        fill::import(&self.dataset, &user_tower, |event| !held.contains(&event))
            .await
            .unwrap();
        house.serves(&indexed.generation).await.unwrap();
        (house, indexed.generation)
    }

    /// Compares what is recommended with what evaluation of the artifact recommends.
    async fn check_served(&self, artifact: &Path, space: &str) {
        let (house, generation) = self.serve(space).await;
        let offline = evaluate::answers(artifact, &self.dataset, ItemSet::S, 30, 10).unwrap();
        let gateway = house.channel().unwrap();
        let compared = served::compare(gateway, &generation, &self.dataset, &offline)
            .await
            .unwrap();
        assert!(compared.users >= 30);
        assert_eq!(compared.equal, compared.users);
        house.stop().await.unwrap();
    }
}

/// Runs a command of the workspace and returns what it prints.
fn printed(program: &Path, arguments: &[&str]) -> String {
    assert!(
        program.exists(),
        "{} is missing: run make test, which makes it",
        program.display()
    );
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}\n{text}{said}");
    text
}

/// Lets the script of examples/adopt make a directory, adopts it by the command, and serves it.
async fn a_directory_of_the_script_is_served(options: &[&str]) {
    let site = Site::new();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let onnx = Path::new(env!("CARGO_BIN_EXE_twotower")).with_file_name("onnx");
    let place = |name: &str| site.path(name).display().to_string();
    let (data, export, out, store) = (place("data"), place("export"), place("out"), place("store"));
    printed(&onnx, &["data", "export", &data, "--out", &export]);
    let script = workspace.join("examples/adopt/ppmi.py");
    let arguments = [&[script.to_str().unwrap(), &export, &out], options].concat();
    printed(&workspace.join(".venv/bin/python"), &arguments);
    let adopted = printed(&onnx, &["adopt", &out, "--store", &store, "--data", &data]);
    let line = adopted.lines().next().unwrap();
    let space = line.strip_prefix("space ").unwrap();

    let artifact = Store::open(&store).unwrap().artifact_dir(space).unwrap();
    let report = fs::read_to_string(artifact.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let figure = |name: &str| report[name].as_f64().unwrap();
    assert!(figure("hr@10") > 10.0 / figure("candidates"), "{report:#}");
    site.check_served(&artifact, space).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn towers_of_a_script_are_adopted_indexed_and_served() {
    a_directory_of_the_script_is_served(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn towers_of_a_script_that_take_item_vectors_are_adopted_indexed_and_served() {
    a_directory_of_the_script_is_served(&["--rows"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_user_tower_makes_the_vectors_that_a_hand_makes_of_item_rows() {
    let site = Site::new();
    let sample = Sample {
        items: site.dataset.items.iter().map(|item| item.id).collect(),
        reads: Reads::Vectors,
        ..Sample::default()
    };
    let directory = site.path("foreign");
    sample.write(&directory).unwrap();
    fs::remove_file(directory.join("artifact.json")).unwrap();
    let store = Store::open(site.path("store").to_str().unwrap()).unwrap();
    let adopted = adopt::adopt(&directory, "stranger", &store, Some(&site.dataset)).await;
    let (space, _) = adopted.unwrap();
    let (house, _) = site.serve(&space).await;

    let address = format!("http://{}", house.user_tower);
    let mut tower = UserTowerServiceClient::connect(address).await.unwrap();
    let held = fill::held_back(&site.dataset, ItemSet::S);
    for user in 0..20 {
        let query = UserQuery {
            user_id: site.dataset.users[user].id.clone(),
            ..UserQuery::default()
        };
        let request = EmbedUsersRequest {
            users: vec![query],
            ..Default::default()
        };
        let answer = tower.embed_users(request).await.unwrap().into_inner();
        let bytes = &answer.users[0].interests.as_ref().unwrap().f32;
        let found = bytes
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        let expected = sample.user(&history(&site.dataset, user as u32, &held));
        for (found, expected) in found.zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
        }
    }
    house.stop().await.unwrap();
}

/// A user's events but those held back, oldest first.
fn history(dataset: &Dataset, user: u32, held: &std::collections::BTreeSet<u32>) -> User {
    let events = (0..).zip(&dataset.events);
    let mut events: Vec<_> = events
        .filter(|(index, event)| event.user == user && !held.contains(index))
        .map(|(_, event)| event)
        .collect();
    events.sort_by_key(|event| event.time);
    let event = |event: &&onnx::dataset::EventRecord| Event {
        item: dataset.items[event.item as usize].id,
        kind: String::new(),
        value: event.value,
        time: event.time,
    };
    User {
        history: events.iter().map(event).collect(),
        ..User::default()
    }
}
