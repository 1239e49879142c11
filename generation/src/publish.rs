//! Publishes a generation: stages its files, then makes them serve at once or not at all.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};

use crate::{
    durable,
    error::{AtPath as _, Error},
    hash,
    manifest::{self, Engine, FileEntry, Manifest, Metric, Partitioner, ShardEntry},
    name, partition,
    pointer::{Current, Versioned},
    staging::StagedDir,
    store::Store,
};

/// A generation in the making.
///
/// Dropped without [`Staging::commit`], or with the process killed at any point before its end,
/// it leaves what serves as it was. The next staging removes what it staged; a generation that was
/// in place but not yet in CURRENT stays until [`collect`](crate::collect::collect) finds it too old.
#[derive(Debug)]
pub struct Staging {
    store: Store,
    dir: StagedDir,
    current: Option<Versioned<Current>>,
}

/// What the manifest says beyond its files.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The embedding space; its artifact must be in the store.
    pub space: String,
    /// Numbers a vector.
    pub dim: usize,
    /// What scores mean.
    pub metric: Metric,
    /// The shards in the order of their numbers, each of whose files is in the staging directory.
    pub shards: Vec<ShardEntry>,
    /// What built the graphs.
    pub engine: Engine,
    /// The last delta of the catalog's log that the shards hold.
    pub updates_from: u64,
    /// The evaluation report of the artifact, if it had one.
    pub report: Option<serde_json::Value>,
}

impl Staging {
    /// Begins a generation that is to follow the one that serves now.
    ///
    /// Blocks the thread for some file operations.
    ///
    /// # Errors
    /// If the store cannot be written, or CURRENT cannot be read.
    pub fn create(store: &Store) -> Result<Self, Error> {
        Ok(Self {
            store: store.clone(),
            dir: StagedDir::create(store)?,
            current: store.read_pointer_now()?,
        })
    }

    /// The directory to write the generation's files into, side by side.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Hashes the files, makes them durable, and lets the generation serve; the one that served
    /// becomes the previous.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another generation was published since [`Staging::create`],
    /// [`Error::Missing`] for a file that a shard lacks or an artifact that the store lacks,
    /// [`Error::Mismatch`] if the numbers contradict each other. What serves is then as it was.
    pub async fn commit(self, draft: Draft) -> Result<Manifest, Error> {
        tokio::task::spawn_blocking(move || self.commit_now(draft)).await?
    }

    fn commit_now(self, draft: Draft) -> Result<Manifest, Error> {
        if !self.store.artifact_dir(&draft.space)?.is_dir() {
            return Err(Error::Missing {
                what: "artifact",
                name: draft.space,
            });
        }
        let mut manifest = draft.into_manifest(hash_files(self.dir())?);

        let _lock = self.store.lock()?;
        manifest.created = humantime::format_rfc3339_seconds(next_time(&self.store)?).to_string();
        let text = manifest.seal()?;
        let version = self.current.as_ref().map(|current| &current.version);
        self.store.expect::<Current>(version)?;
        durable::write(&self.dir().join(manifest::FILE), &text)?;
        self.dir
            .move_to(&self.store.generation_dir(&manifest.id)?)?;
        let new = Current {
            serving: manifest.id.clone(),
            previous: self
                .current
                .as_ref()
                .map(|current| current.value.serving.clone()),
        };
        self.store.swap_locked(version, &new)?;
        Ok(manifest)
    }
}

impl Draft {
    fn into_manifest(self, files: BTreeMap<String, FileEntry>) -> Manifest {
        let items = self.shards.iter().map(|shard| shard.items);
        Manifest {
            format: manifest::FORMAT,
            id: String::new(),
            created: String::new(),
            space: self.space,
            dim: self.dim,
            metric: self.metric,
            items: items.fold(0, u64::saturating_add),
            partitioner: Partitioner {
                name: partition::PARTITIONER.to_owned(),
                shards: u32::try_from(self.shards.len()).unwrap_or(u32::MAX),
            },
            shards: self.shards,
            engine: self.engine,
            files,
            updates_from: self.updates_from,
            report: self.report,
        }
    }
}

#[cfg(test)]
mod kills;

/// Hashes every file of a directory and takes away the permission to write it.
fn hash_files(dir: &Path) -> Result<BTreeMap<String, FileEntry>, Error> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).at(dir)? {
        let entry = entry.at(dir)?;
        let path = entry.path();
        let file = entry.file_name().to_string_lossy().into_owned();
        name::check("file", &file)?;
        if !entry.file_type().at(&path)?.is_file() {
            return Err(Error::mismatch(
                file,
                "kind",
                "not a file",
                "a regular file",
            ));
        }
        durable::step();
        let mut permissions = entry.metadata().at(&path)?.permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).at(&path)?;
        let (bytes, hash) = hash::file(&mut File::open(&path).at(&path)?).at(&path)?;
        let entry = FileEntry {
            bytes,
            blake3: hash,
        };
        files.insert(file, entry);
    }
    Ok(files)
}

/// The time for a new generation's id: now, but always later than that of the newest one.
fn next_time(store: &Store) -> Result<SystemTime, Error> {
    let dir = store.generations_dir();
    durable::create_dir(&dir)?;
    let mut newest = None;
    for entry in fs::read_dir(&dir).at(&dir)? {
        newest = newest.max(id_time(&entry.at(&dir)?.file_name().to_string_lossy()));
    }
    let now = SystemTime::now();
    Ok(newest.map_or(now, |newest| now.max(newest + Duration::from_secs(1))))
}

/// The time in a generation's id, `YYYYMMDDTHHMMSSZ-..`.
fn id_time(id: &str) -> Option<SystemTime> {
    let at = |range| id.get(range);
    let (year, month, day) = (at(0..4)?, at(4..6)?, at(6..8)?);
    let (hour, minute, second) = (at(9..11)?, at(11..13)?, at(13..15)?);
    humantime::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")).ok()
}
