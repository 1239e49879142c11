//! A store with an artifact, and small generations to put in it.

use std::{fs, path::PathBuf};

use generation::{
    manifest::{Engine, Manifest, Metric, ShardEntry},
    publish::{Draft, Staging},
    rows::Rows,
    store::Store,
};
use tempfile::TempDir;

pub(crate) const SPACE: &str = "0123456789abcdef0123456789abcdef";

/// A store in a directory that goes away with it.
pub(crate) struct House {
    pub(crate) store: Store,
    _dir: TempDir,
}

impl House {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().to_str().unwrap()).unwrap();
        fs::create_dir_all(store.artifact_dir(SPACE).unwrap()).unwrap();
        Self { store, _dir: dir }
    }

    pub(crate) fn stage(&self, seed: f32) -> Staging {
        stage(&self.store, seed)
    }

    pub(crate) async fn publish(&self, seed: f32) -> Manifest {
        self.stage(seed).commit(draft()).await.unwrap()
    }

    /// The serving and the previous generation.
    pub(crate) async fn serving(&self) -> (String, Option<String>) {
        let current = self.store.current().await.unwrap().unwrap().value;
        (current.serving, current.previous)
    }

    pub(crate) fn path(&self, id: &str, file: &str) -> PathBuf {
        self.store.root().join("generations").join(id).join(file)
    }

    /// Puts other bytes where a published file is, as a faulty disk or hand would.
    pub(crate) fn tamper(&self, id: &str, file: &str, bytes: &[u8]) {
        let path = self.path(id, file);
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }

    /// What is in the staging directory, but for locks.
    pub(crate) fn staged(&self) -> usize {
        let entries = fs::read_dir(self.store.root().join("staging")).unwrap();
        entries
            .filter(|entry| entry.as_ref().unwrap().path().is_dir())
            .count()
    }
}

/// Stages two shards, of 3 and 2 items with the numbers `seed`, `seed + 1`, ...
pub(crate) fn stage(store: &Store, seed: f32) -> Staging {
    let staging = Staging::create(store).unwrap();
    let write = |file: &str, text: &str| fs::write(staging.dir().join(file), text).unwrap();
    for shard in shards() {
        let ids: Vec<u64> = (0..shard.items)
            .map(|i| 10 * i + u64::from(shard.shard))
            .collect();
        let vectors: Vec<f32> = (0..4 * shard.items).map(|i| seed + i as f32).collect();
        Rows::write(&staging.dir().join(&shard.rows), 4, &ids, &vectors).unwrap();
        write(&shard.graph, &format!("graph {}", shard.shard));
        write(&shard.items_file, &format!("items {}", shard.shard));
    }
    write("popularity.json", "[[10, 3]]");
    staging
}

pub(crate) fn shards() -> Vec<ShardEntry> {
    vec![ShardEntry::named(0, 3), ShardEntry::named(1, 2)]
}

pub(crate) fn draft() -> Draft {
    Draft {
        space: SPACE.to_owned(),
        dim: 4,
        metric: Metric::Cosine,
        shards: shards(),
        engine: Engine {
            name: "usearch".to_owned(),
            version: "2.26.6".to_owned(),
            connectivity: 16,
            expansion_add: 128,
            expansion_search: 64,
        },
        updates_from: 0,
        report: Some(serde_json::json!({"hr@10": 0.1 + 0.2, "users": 6040})),
    }
}
