//! A store whose CURRENT serves a generation of one artifact.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use encoder::{artifact::Artifact, features, session::ItemEncoder};
use generation::{
    manifest::{Engine, Metric, ShardEntry},
    publish::{Draft, Staging},
    rows::Rows,
    store::Store,
};
use tempfile::TempDir;

use crate::process::Process;

/// A store of one model.
pub(crate) struct Site {
    pub(crate) store: PathBuf,
    pub(crate) artifact: PathBuf,
    pub(crate) folder: TempDir,
}

impl Site {
    /// Publishes a generation of the only artifact of a store.
    pub(crate) async fn of(store: &Path) -> anyhow::Result<Self> {
        let artifacts = fs::read_dir(store.join("artifacts"))?;
        let artifacts = artifacts.collect::<Result<Vec<_>, _>>()?;
        let [artifact] = &artifacts[..] else {
            anyhow::bail!("{} has not one artifact", store.display());
        };
        let site = Self {
            store: store.to_owned(),
            artifact: artifact.path(),
            folder: tempfile::tempdir()?,
        };
        let space = artifact.file_name().to_string_lossy().into_owned();
        let opened = Artifact::open(&site.artifact)?;
        let items = ItemEncoder::open(&opened, 1)?;
        let ids: Vec<u64> = (1..=1_000).collect();
        let named: Vec<features::Item> = ids
            .iter()
            .map(|id| features::Item {
                id: *id,
                features: features::Features::new(),
            })
            .collect();
        let vectors = items.encode(&named)?;
        publish(
            &Store::open(&text(store))?,
            &space,
            &ids,
            vectors.dim,
            &vectors.values,
        )
        .await?;
        Ok(site)
    }

    /// A fresh file for histories.
    pub(crate) fn history(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.redb"))
    }
}

/// Starts a user tower over a store, with more settings as `SECTION__KEY` and value.
pub(crate) fn user_tower(
    store: &Path,
    history: &Path,
    settings: &[(&str, &str)],
) -> anyhow::Result<Process> {
    let binaries = std::env::current_exe()?;
    let folder = binaries.ancestors().nth(2).context("no target folder")?;
    let (store, history) = (text(store), text(history));
    let paths = [("STORE", &*store), ("HISTORY__PATH", &*history)];
    Process::server(&folder.join("user-tower"), &[&paths, settings].concat())
}

/// Publishes a generation of these rows in one shard; a user tower reads neither its graph nor its items.
pub(crate) async fn publish(
    store: &Store,
    space: &str,
    ids: &[u64],
    dim: usize,
    vectors: &[f32],
) -> anyhow::Result<String> {
    let staging = Staging::create(store)?;
    let path = |name: &str| staging.dir().join(name);
    let shard = ShardEntry::named(0, ids.len() as u64);
    Rows::write(&path(&shard.rows), dim, ids, vectors)?;
    fs::write(path(&shard.graph), "graph")?;
    fs::write(path(&shard.items_file), "items")?;
    let draft = Draft {
        space: space.to_owned(),
        dim,
        metric: Metric::Dot,
        shards: vec![shard],
        engine: Engine {
            name: "usearch".to_owned(),
            version: "2".to_owned(),
            connectivity: 16,
            expansion_add: 64,
            expansion_search: 64,
        },
        updates_from: 0,
        catalog: None,
        report: None,
    };
    let manifest = staging.commit(draft).await.context("the generation")?;
    Ok(manifest.id)
}

pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}
