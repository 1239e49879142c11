//! A store with generations of made-up artifacts, one of each.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use encoder::sample::{KINDS, Sample};
use generation::{
    store::{Members, Store},
    traffic,
};
use index_builder::config::Config;
use tempfile::TempDir;

use crate::{
    Options,
    server::{Launch, Server},
};

/// Shards of every generation.
pub(crate) const SHARDS: usize = 4;
/// The user towers that keep users.
pub(crate) const USER_TOWERS: [&str; 2] = ["user-tower-0", "user-tower-1"];

/// A store, and what serves from it.
pub(crate) struct Site {
    pub(crate) store: PathBuf,
    /// The generations, the one that was made last at the end.
    pub(crate) generations: Vec<String>,
    pub(crate) launch: Launch,
    /// Copies of each shard.
    pub(crate) copies: usize,
    pub(crate) folder: TempDir,
}

impl Site {
    /// A catalog of items 1 to `items`, and a generation of it by each of `artifacts` artifacts.
    pub(crate) async fn new(options: &Options, items: u64, artifacts: u64) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let store = Store::open(&text(&path("store")))?;
        let members = Members {
            epoch: 1,
            members: USER_TOWERS.map(str::to_owned).to_vec(),
        };
        store.swap_members(None, &members).await?;
        catalog(&path("items.jsonl"), items)?;
        fs::create_dir(path("logs"))?;
        let mut site = Self {
            store: path("store"),
            generations: Vec::new(),
            launch: Launch {
                bin: options.bin()?,
                logs: path("logs"),
                core: None,
            },
            copies: 2,
            folder,
        };

        let embeds = Server::start(
            &site.launch,
            "item-tower",
            "embeds",
            &[("STORE", &text(&site.store))],
        )?;
        embeds.listens().await?;
        for seed in 1..=artifacts {
            let sample = Sample {
                items: (1..=items).collect(),
                seed,
                reads_kind: true,
                ..Sample::default()
            };
            let dir = site.folder.path().join(format!("artifact-{seed}"));
            let space = sample.write(&dir)?;
            store.put_artifact(&dir, &space).await?;
            site.index(space, &embeds).await?;
        }
        Ok(site)
    }

    /// Makes a generation with the artifact of a space; it serves.
    async fn index(&mut self, space: String, embeds: &Server) -> anyhow::Result<()> {
        let mut config = Config::defaults()?;
        config.store = text(&self.store);
        config.catalog = self.folder.path().join("items.jsonl");
        config.work = self.folder.path().join("index-builder");
        config.artifact = space;
        config.item_towers = vec![embeds.uri()];
        config.shards = SHARDS as u32;
        config.keep_generations = 16;
        config.verify.hr_floor = 0.0;
        let summary = index_builder::run(config).await?;
        self.generations.push(summary.generation);
        Ok(())
    }

    /// The generation that serves when nothing was swapped.
    pub(crate) fn newest(&self) -> &str {
        self.generations.last().map_or("", String::as_str)
    }

    /// Lets the next generation after the one that was made last serve, and returns it; `turn` counts from 0.
    pub(crate) async fn swap(&self, turn: u64) -> anyhow::Result<&str> {
        let next = &self.generations[(turn % self.generations.len() as u64) as usize];
        traffic::promote(&Store::open(&text(&self.store))?, next).await?;
        Ok(next)
    }
}

fn catalog(path: &Path, items: u64) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for id in 1..=items {
        let kind = KINDS[(id % 2) as usize];
        writeln!(
            lines,
            r#"{{"id":{id},"title":"Item {id}","features":{{"kind":"{kind}"}}}}"#
        )?;
    }
    Ok(fs::write(path, lines)?)
}

pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}
