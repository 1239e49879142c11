//! A store with an artifact, in a directory or in a bucket, and small generations to put in it.

use std::{
    fs::{self, File},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime},
};

use generation::{
    manifest::{Engine, Manifest, Metric, ShardEntry},
    publish::{Draft, Staging},
    rows::Rows,
    store::{CACHE, Store},
};
use tempfile::TempDir;

use crate::server;

pub(crate) const SPACE: &str = "0123456789abcdef0123456789abcdef";

/// Makes of each function that takes a [`Place`] a test in a directory and one in a bucket.
macro_rules! in_both {
    ($($test:ident),+ $(,)?) => {
        mod in_a_directory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::fixture::Place::Directory).await;
            })+
        }

        mod in_a_bucket {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::fixture::Place::Bucket).await;
            })+
        }
    };
}
pub(crate) use in_both;

/// Where a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Directory,
    Bucket,
}

impl Place {
    /// A new store with an artifact.
    pub(crate) async fn house(self) -> House {
        let house = self.empty();
        let artifact = tempfile::tempdir().unwrap();
        fs::write(artifact.path().join("artifact.json"), "{}").unwrap();
        let put = house.store.put_artifact(artifact.path(), SPACE).await;
        put.unwrap();
        house
    }

    /// A new store.
    pub(crate) fn empty(self) -> House {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let (location, mut settings) = match self {
            Self::Directory => (path.to_owned(), Vec::new()),
            Self::Bucket => {
                let count = COUNT.fetch_add(1, Ordering::Relaxed);
                let location = format!("s3://{}/a/store-{count}", server::BUCKET);
                (location, server::settings())
            }
        };
        settings.push((CACHE.to_owned(), path.to_owned()));
        House {
            store: Store::open_with(&location, settings.clone()).unwrap(),
            place: self,
            location,
            settings,
            dir,
        }
    }
}

/// A store that goes away with its directory, or stays in the server's memory.
pub(crate) struct House {
    pub(crate) store: Store,
    pub(crate) location: String,
    pub(crate) settings: Vec<(String, String)>,
    place: Place,
    dir: TempDir,
}

impl House {
    /// The same store on another machine: with nothing in its cache, if it has one.
    pub(crate) fn elsewhere(&self) -> Store {
        let cache = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        let mut settings = self.settings.clone();
        settings.retain(|(key, _)| key != CACHE);
        settings.push((CACHE.to_owned(), cache.to_str().unwrap().to_owned()));
        Store::open_with(&self.location, settings).unwrap()
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

    /// Where a file of a generation is in a directory, or would be in the cache.
    pub(crate) fn path(&self, id: &str, file: &str) -> PathBuf {
        self.store.root().join("generations").join(id).join(file)
    }

    /// What is published under a name.
    pub(crate) async fn bytes(&self, id: &str, file: &str) -> Vec<u8> {
        let name = format!("generations/{id}/{file}");
        self.store.read(&name, 1 << 30).await.unwrap().unwrap()
    }

    /// Puts other bytes where a published file is, as a faulty disk or hand would.
    pub(crate) async fn tamper(&self, id: &str, file: &str, bytes: &[u8]) {
        self.put(&format!("generations/{id}/{file}"), bytes).await;
    }

    /// Writes a file or an object, whatever is there.
    pub(crate) async fn put(&self, name: &str, bytes: &[u8]) {
        match self.place {
            Place::Directory => {
                let path = self.store.root().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                let _ = fs::remove_file(&path);
                fs::write(&path, bytes).unwrap();
            }
            Place::Bucket => server::put(&self.object(name), bytes).await,
        }
    }

    /// Lets the store lose its artifact.
    pub(crate) async fn remove_artifact(&self) {
        let name = format!("artifacts/{SPACE}");
        match self.place {
            Place::Directory => fs::remove_dir_all(self.store.root().join(name)).unwrap(),
            Place::Bucket => {
                let listing = format!("{name}/artifact.json");
                self.store.remove(&listing).await.unwrap();
            }
        }
    }

    /// Makes what lies below a prefix two days older.
    pub(crate) fn age(&self, prefix: &str) {
        if self.place == Place::Bucket {
            return server::age(&self.object(prefix));
        }
        let old = SystemTime::now() - Duration::from_secs(2 * 24 * 3600);
        for entry in fs::read_dir(self.store.root().join(prefix)).unwrap() {
            let path = entry.unwrap().path();
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(old).unwrap();
        }
    }

    /// The names of all objects below a prefix of a bucket.
    pub(crate) async fn objects(&self, prefix: &str) -> Vec<String> {
        server::list(&self.object(prefix)).await
    }

    fn object(&self, name: &str) -> String {
        let prefix = format!("s3://{}/", server::BUCKET);
        format!("{}/{name}", self.location.strip_prefix(&prefix).unwrap())
    }

    /// What is in the staging directory, but for locks.
    pub(crate) fn staged(&self) -> usize {
        let entries = fs::read_dir(self.store.root().join("staging")).unwrap();
        entries
            .filter(|entry| entry.as_ref().unwrap().path().is_dir())
            .count()
    }
}

/// Stages two shards, of 3 and 2 items with the numbers `seed`, `seed + 1`, ...; the second has cells.
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
        if let Some(cells) = &shard.cells {
            write(cells, &format!("cells {}", shard.shard));
        }
    }
    write("popularity.json", "[[10, 3]]");
    staging
}

pub(crate) fn shards() -> Vec<ShardEntry> {
    let with_cells = ShardEntry {
        cells: Some(ShardEntry::cells_named(1)),
        ..ShardEntry::named(1, 2)
    };
    vec![ShardEntry::named(0, 3), with_cells]
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
        catalog: None,
        report: Some(serde_json::json!({"hr@10": 0.1 + 0.2, "users": 6040})),
    }
}
