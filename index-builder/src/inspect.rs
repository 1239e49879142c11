//! Says which generations the store holds, and whether one of them is whole.

use std::fmt;

use generation::{
    manifest::{self, Manifest},
    open::{self, Generation},
    store::Store,
};
use index::hnsw::{HnswConfig, Metric};
use serde::Serialize;
use tokio::task;

use crate::{error::Error, verify};

/// The generations of a store, newest first.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Listing(pub Vec<Listed>);

/// One generation of a store.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// Its id.
    pub generation: String,
    /// What CURRENT names it as: `serving`, `previous`, or nothing.
    pub role: &'static str,
    /// What its manifest says, or why that cannot be read.
    #[serde(flatten)]
    pub found: Found,
}

/// What a manifest says.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Found {
    /// It can be read.
    Manifest {
        /// When it was published, RFC 3339 in UTC.
        created: String,
        /// Its embedding space.
        space: String,
        /// Items in it.
        items: u64,
        /// Shards.
        shards: usize,
        /// Bytes of all its files.
        bytes: u64,
    },
    /// It cannot.
    Broken {
        /// Why.
        problem: String,
    },
}

/// Whether a generation is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Its id.
    pub generation: String,
    /// Files that its manifest names.
    pub files: usize,
    /// What is wrong, a line each; nothing if it is whole.
    pub problems: Vec<String>,
}

/// Lists the generations of the store.
///
/// # Errors
/// If the store cannot be listed or CURRENT cannot be read; a manifest that cannot be is told in its place.
pub async fn list(store: &Store) -> Result<Listing, Error> {
    let current = store.current().await?.map(|current| current.value);
    let mut listed = Vec::new();
    for id in store.generations().await? {
        let role = match &current {
            Some(current) if current.serving == id => "serving",
            Some(current) if current.previous.as_ref() == Some(&id) => "previous",
            _ => "",
        };
        let found = match open::open(store, &id).await {
            Ok(Generation { manifest, .. }) => Found::of(manifest),
            Err(cause) => Found::Broken {
                problem: cause.to_string(),
            },
        };
        listed.push(Listed {
            generation: id,
            role,
            found,
        });
    }
    Ok(Listing(listed))
}

/// Hashes every file of a generation, then opens its shards as serving does; without a name, of the one that serves.
///
/// # Errors
/// If the store cannot be read or has no such generation; what is wrong with its files is told in the answer.
pub async fn check(store: &Store, id: Option<String>) -> Result<Checked, Error> {
    let id = match id {
        Some(id) => id,
        None => match store.current().await? {
            Some(current) => current.value.serving,
            None => return Err(Error::NothingServes),
        },
    };
    let generation = open::open(store, &id).await?;
    task::spawn_blocking(move || {
        let files = generation.manifest.files.keys();
        let broken = files.filter_map(|file| generation.file(file).err());
        let mut problems: Vec<String> = broken.map(|cause| cause.to_string()).collect();
        if problems.is_empty() {
            problems = shards(&generation);
        }
        Ok(Checked {
            files: generation.manifest.files.len(),
            generation: id,
            problems,
        })
    })
    .await?
}

/// Opens every shard; returns what keeps one from it.
fn shards(generation: &Generation) -> Vec<String> {
    let manifest = &generation.manifest;
    let hnsw = HnswConfig {
        metric: match manifest.metric {
            manifest::Metric::Dot => Metric::Dot,
            manifest::Metric::Cosine => Metric::Cosine,
        },
        connectivity: manifest.engine.connectivity,
        expansion_add: manifest.engine.expansion_add,
        expansion_search: manifest.engine.expansion_search,
        ..HnswConfig::default()
    };
    let mut problems = Vec::new();
    for entry in &manifest.shards {
        let file = |name: &str| Ok(generation.file(name)?);
        if let Err(cause) = verify::open(file, entry, &hnsw) {
            problems.push(format!("shard {}: {cause}", entry.shard));
        }
    }
    problems
}

impl Found {
    fn of(manifest: Manifest) -> Self {
        Self::Manifest {
            bytes: manifest.files.values().map(|file| file.bytes).sum(),
            created: manifest.created,
            space: manifest.space,
            items: manifest.items,
            shards: manifest.shards.len(),
        }
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<25}  {:<8}  {:>10}  {:>6}  {:>9}  space",
            "generation", "", "items", "shards", "MiB"
        )?;
        for Listed {
            generation,
            role,
            found,
        } in &self.0
        {
            write!(f, "\n{generation:<25}  {role:<8}  ")?;
            match found {
                Found::Manifest {
                    space,
                    items,
                    shards,
                    bytes,
                    ..
                } => {
                    let size = *bytes as f64 / f64::from(1 << 20);
                    write!(f, "{items:>10}  {shards:>6}  {size:>9.1}  {space}")?;
                }
                Found::Broken { problem } => write!(f, "{problem}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            generation,
            files,
            problems,
        } = self;
        match problems.as_slice() {
            [] => write!(f, "{generation}: {files} files, all whole"),
            problems => write!(f, "{}", problems.join("\n")),
        }
    }
}
