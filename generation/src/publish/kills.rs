//! A publication killed before any of its operations on the disk leaves the old generation serving or the new one, whole.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    env, fs,
    os::unix::process::ExitStatusExt as _,
    process::{Command, Stdio},
};

use super::{Draft, Staging};
use crate::{
    durable::steps,
    manifest::{Engine, Metric, ShardEntry},
    open,
    rows::Rows,
    store::Store,
};

const SPACE: &str = "0123456789abcdef0123456789abcdef";
/// Tells the process below in which store, and before which operation it dies.
const STORE: &str = "TWOTOWER_TEST_KILL_STORE";
const AT: &str = "TWOTOWER_TEST_KILL_AT";
/// How often every operation is tried; and where to write how many kills there were, and after how many all was whole.
const ROUNDS: &str = "TWOTOWER_TEST_KILL_ROUNDS";
const REPORT: &str = "TWOTOWER_TEST_KILL_REPORT";

fn staged(store: &Store, seed: f32) -> (Staging, Draft) {
    let staging = Staging::create(store).unwrap();
    let shard = ShardEntry::named(0, 2);
    let path = |name: &str| staging.dir().join(name);
    Rows::write(&path(&shard.rows), 2, &[3, 4], &[seed; 4]).unwrap();
    for name in [&shard.graph, &shard.items_file, "popularity.json"] {
        fs::write(path(name), format!("{name} {seed}")).unwrap();
    }
    let draft = Draft {
        space: SPACE.to_owned(),
        dim: 2,
        metric: Metric::Dot,
        shards: vec![shard],
        engine: Engine {
            name: "none".to_owned(),
            version: "1".to_owned(),
            connectivity: 2,
            expansion_add: 1,
            expansion_search: 1,
        },
        updates_from: 0,
        catalog: None,
        report: None,
    };
    (staging, draft)
}

/// Another process: publishes once and dies on the way, or, if there are not so many operations, ends well.
#[tokio::test]
#[ignore = "the victim of another test"]
async fn publishes_and_dies() {
    let store = Store::open(&env::var(STORE).unwrap()).unwrap();
    steps::arm(env::var(AT).unwrap().parse().unwrap());
    let (staging, draft) = staged(&store, 2.0);
    staging.commit(draft).await.unwrap();
}

/// Returns whether the process died before its `at`th operation.
fn dies(store: &Store, at: usize) -> bool {
    let status = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "publish::kills::publishes_and_dies"])
        .env(STORE, store.root())
        .env(AT, at.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success() || status.signal().is_some(), "{status}");
    !status.success()
}

/// Whether CURRENT names `old` or a newer generation, and that is whole; and whether the next publication succeeds.
async fn is_whole(store: &Store, old: &str) -> bool {
    let serving = store.current().await.unwrap().unwrap().value.serving;
    let generation = open::open(store, &serving).await.unwrap();
    let whole = |file: &String| generation.file(file).is_ok();
    let (staging, draft) = staged(store, 3.0);
    serving.as_str() >= old
        && generation.manifest.files.keys().all(whole)
        && staging.commit(draft).await.is_ok()
}

#[tokio::test]
async fn before_any_operation_on_the_disk() {
    let rounds: usize = env::var(ROUNDS).map_or(1, |rounds| rounds.parse().unwrap());
    let (mut kills, mut whole) = (0, 0);
    for _ in 0..rounds {
        for at in 1.. {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path().to_str().unwrap()).unwrap();
            fs::create_dir_all(store.artifact_dir(SPACE).unwrap()).unwrap();
            let (staging, draft) = staged(&store, 1.0);
            let old = staging.commit(draft).await.unwrap().id;
            if !dies(&store, at) {
                break;
            }
            kills += 1;
            whole += usize::from(is_whole(&store, &old).await);
        }
    }
    assert!(kills >= 12 * rounds, "{kills} kills in {rounds} rounds");
    assert_eq!(whole, kills);
    if let Ok(report) = env::var(REPORT) {
        fs::write(report, format!("{kills} {whole}")).unwrap();
    }
}
