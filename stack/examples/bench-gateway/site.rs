//! A store whose CURRENT serves a catalog with one model.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context as _;
use encoder::artifact::Artifact;
use generation::store::Store;
use index_builder::config::Config;

use crate::{Options, catalog::Catalog};

/// A store, and what it was made of.
pub(crate) struct Site {
    /// The model's name.
    pub(crate) model: String,
    pub(crate) artifact: PathBuf,
    /// Where all of it lies; the peer keeps its graph there, too.
    pub(crate) folder: PathBuf,
    pub(crate) store: PathBuf,
    pub(crate) generation: String,
    pub(crate) space: String,
    pub(crate) shards: u32,
    pub(crate) catalog: Catalog,
}

impl Site {
    /// Publishes a catalog of `items` in `shards` with the only artifact of a store; what an earlier run published stands.
    pub(crate) async fn of(
        model: &str,
        store: &Path,
        items: usize,
        shards: u32,
        options: &Options,
    ) -> anyhow::Result<Self> {
        let artifacts = fs::read_dir(store.join("artifacts"))?;
        let artifacts = artifacts.collect::<Result<Vec<_>, _>>()?;
        let [artifact] = &artifacts[..] else {
            anyhow::bail!("{} has not one artifact", store.display());
        };
        let space = artifact.file_name().to_string_lossy().into_owned();
        let opened = Artifact::open(&artifact.path())?;
        let catalog = Catalog::of(&opened, &options.data, items)?;
        let folder = options.work.join(format!("{space}-{items}-{shards}"));
        fs::create_dir_all(&folder)?;
        let path = folder.join("store");
        let store = Store::open(&text(&path))?;
        if store.current().await?.is_none() {
            let begun = Instant::now();
            catalog.write(&folder, &space)?;
            store.put_artifact(&artifact.path(), &space).await?;
            index_builder::run(job(&folder, shards)?).await?;
            println!(
                "{model}, {items} items in {shards} shards: built in {:.0?}",
                begun.elapsed()
            );
        }
        let current = store.current().await?.context("nothing serves")?;
        Ok(Self {
            model: model.to_owned(),
            artifact: artifact.path(),
            store: path,
            generation: current.value.serving.clone(),
            space,
            shards,
            catalog,
            folder,
        })
    }

    /// How many items there are.
    pub(crate) fn items(&self) -> usize {
        self.catalog.vectors.len() / self.catalog.dim
    }
}

/// A job that publishes ready vectors.
fn job(folder: &Path, shards: u32) -> anyhow::Result<Config> {
    let mut config = Config::defaults()?;
    config.store = text(&folder.join("store"));
    config.catalog = folder.join("items.jsonl");
    config.vectors = folder.join("vectors.parquet");
    config.item_towers = Vec::new();
    config.work = folder.join("index-builder");
    config.shards = shards;
    // A model of one pass hits little; what a recall costs does not depend on that.
    config.verify.hr_floor = 0.0;
    // Shards this large are searched by their cells; their graphs, which are not walked, find less of vectors that lie this close. What
    // answers find of what there is, is measured.
    config.verify.ann_recall_floor = 0.5;
    Ok(config)
}

pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}
