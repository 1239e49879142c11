//! Says which generations the store holds, and whether one of them is whole.

use std::{fmt, io::BufReader};

use generation::{
    manifest::{self, Manifest},
    open::{self, Generation},
    store::{Current, Store},
};
use index::hnsw::{HnswConfig, Metric};
use serde::Serialize;
use tokio::task;

use crate::{error::Error, popularity, verify};

/// The generations of a store, newest first.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Listing(pub Vec<Listed>);

/// One generation of a store.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// Its id.
    pub generation: String,
    /// What CURRENT names it as, if it does.
    pub role: Option<Role>,
    /// What its manifest says, or why that cannot be read.
    #[serde(flatten)]
    pub found: Found,
}

/// What CURRENT names a generation as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It answers.
    Serving,
    /// It answered before.
    Previous,
    /// It is on trial.
    Candidate,
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
/// If the store cannot be listed or CURRENT cannot be read; a manifest that cannot be, or that CURRENT names and is not
/// there, is told in its place.
pub async fn list(store: &Store) -> Result<Listing, Error> {
    let current = store.current().await?.map(|current| current.value);
    let named = current.iter().flat_map(Current::generations);
    let mut ids = store.generations().await?;
    ids.extend(named.map(str::to_owned));
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.dedup();
    let mut listed = Vec::new();
    for id in ids {
        let role = match &current {
            Some(current) if current.serving == id => Some(Role::Serving),
            Some(current) if current.previous.as_ref() == Some(&id) => Some(Role::Previous),
            Some(current) if current.generations().any(|named| named == id) => {
                Some(Role::Candidate)
            }
            _ => None,
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

/// Hashes every file of a generation, then opens its shards and its popularity, and looks for its artifact; without a
/// name, of the one that serves.
///
/// # Errors
/// If the store cannot be read, has no such generation, or its manifest cannot be read; what else is wrong is told in
/// the answer.
pub async fn check(store: &Store, id: Option<String>) -> Result<Checked, Error> {
    let id = match id {
        Some(id) => id,
        None => match store.current().await? {
            Some(current) => current.value.serving,
            None => return Err(generation::error::Error::NothingServes.into()),
        },
    };
    let generation = open::open(store, &id).await?;
    let has_artifact = store.has_artifact(&generation.manifest.space).await?;
    task::spawn_blocking(move || {
        let files = generation.manifest.files.keys();
        let broken = files.filter_map(|file| generation.file(file).err());
        let mut problems: Vec<String> = broken.map(|cause| cause.to_string()).collect();
        if problems.is_empty() {
            problems = contents(&generation);
        }
        if !has_artifact {
            let space = &generation.manifest.space;
            problems.push(format!("artifact {space} is not in the store"));
        }
        Ok(Checked {
            files: generation.manifest.files.len(),
            generation: id,
            problems,
        })
    })
    .await?
}

/// Opens every shard and the popularity; returns what keeps one from it.
fn contents(generation: &Generation) -> Vec<String> {
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
        match verify::open(file, entry, &hnsw) {
            Err(cause) => problems.push(format!("shard {}: {cause}", entry.shard)),
            Ok(shard) if shard.rows().dim() != manifest.dim => problems.push(format!(
                "shard {}: dim is {}, expected {}",
                entry.shard,
                shard.rows().dim(),
                manifest.dim
            )),
            Ok(_) => {}
        }
    }
    problems.extend(popular(generation).err());
    problems
}

fn popular(generation: &Generation) -> Result<(), String> {
    let file = generation.file(popularity::FILE);
    let file = file.map_err(|cause| cause.to_string())?;
    let read: Result<Vec<(u64, u64)>, _> = serde_json::from_reader(BufReader::new(file));
    read.map_err(|cause| format!("{}: {cause}", popularity::FILE))?;
    Ok(())
}

impl Found {
    fn of(manifest: Manifest) -> Self {
        Self::Manifest {
            bytes: manifest
                .files
                .values()
                .fold(0, |bytes, file| bytes.saturating_add(file.bytes)),
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
            "{:<25}  {:<9}  {:>10}  {:>6}  {:>9}  space",
            "generation", "", "items", "shards", "MiB"
        )?;
        for Listed {
            generation,
            role,
            found,
        } in &self.0
        {
            let role = match role {
                Some(Role::Serving) => "serving",
                Some(Role::Previous) => "previous",
                Some(Role::Candidate) => "candidate",
                None => "",
            };
            write!(f, "\n{generation:<25}  {role:<9}  ")?;
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
