//! Publishes a generation: stages its files, then makes them serve at once or not at all.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};

use tokio::task;

use crate::{
    artifacts,
    bucket::Bucket,
    claims, durable,
    error::{AtPath as _, Error},
    hash,
    manifest::{self, CatalogEntry, Engine, FileEntry, Manifest, Metric, Partitioner, ShardEntry},
    name, partition,
    pointer::{Candidate, Current, Versioned},
    staging::StagedDir,
    store::Store,
    swap,
};

/// A generation in the making.
///
/// Dropped without [`Staging::commit`], or with the process killed at any point before its end,
/// it leaves what serves as it was. The next staging removes what it staged; a generation that was
/// in place but not yet in CURRENT stays until [`collect`](crate::collect::collect) finds it too old,
/// and so do files that were put in a bucket without their manifest.
#[derive(Debug)]
pub struct Staging {
    store: Store,
    dir: StagedDir,
    current: Option<Versioned<Current>>,
}

/// What a generation becomes when it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It serves.
    Serving,
    /// It is on trial: the members load it, and it answers nothing until the traffic policy gives it a share. The first of a store
    /// serves all the same.
    Candidate,
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
    /// The catalog that they were made of, if it is known.
    pub catalog: Option<CatalogEntry>,
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
            current: swap::read(store)?,
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
        self.commit_as(draft, Role::Serving).await
    }

    /// Does the same for a generation that serves or, beside the one that serves, is on trial.
    ///
    /// # Errors
    /// As [`Staging::commit`].
    pub async fn commit_as(self, draft: Draft, role: Role) -> Result<Manifest, Error> {
        task::spawn_blocking(move || self.commit_now(draft, role)).await?
    }

    fn commit_now(self, draft: Draft, role: Role) -> Result<Manifest, Error> {
        if !artifacts::has(&self.store, &draft.space)? {
            return Err(artifacts::missing(&draft.space));
        }
        let mut manifest = draft.into_manifest(hash_files(self.dir())?);

        let store = self.store.clone();
        let _lock = store.lock()?;
        manifest.created = humantime::format_rfc3339_seconds(next_time(&store)?).to_string();
        let text = manifest.seal()?;
        let version = self.current.as_ref().map(|current| current.version.clone());
        swap::expect::<Current>(&store, version.as_ref())?;
        let new = self.successor(&manifest.id, role);
        claims::serving(&store, [manifest.id.as_str()], || {
            match store.bucket() {
                Some(bucket) => self.upload(bucket, &manifest, &text)?,
                None => self.move_in(&manifest, &text)?,
            }
            swap::swap(&store, version.as_ref(), &new)
        })?;
        Ok(manifest)
    }

    /// What CURRENT says once the generation is there.
    fn successor(&self, id: &str, role: Role) -> Current {
        let old = self.current.as_ref().map(|old| &old.value);
        match (old, role) {
            (None, _) => Current::of(id),
            (Some(old), Role::Serving) => old.followed_by(id),
            (Some(old), Role::Candidate) => Current {
                candidate: Some(Candidate {
                    generation: id.to_owned(),
                    share: 0.0,
                    shadow: 0.0,
                }),
                ..old.clone()
            },
        }
    }

    /// Puts the manifest beside the files, and all of them in place at once.
    fn move_in(self, manifest: &Manifest, text: &[u8]) -> Result<(), Error> {
        durable::write(&self.dir().join(manifest::FILE), text)?;
        self.dir.move_to(&self.store.generation_dir(&manifest.id)?)
    }

    /// Puts the files, and last the manifest, by which they become a generation.
    fn upload(self, bucket: &Bucket, manifest: &Manifest, text: &[u8]) -> Result<(), Error> {
        for (file, entry) in &manifest.files {
            let object = format!("generations/{}/{file}", manifest.id);
            bucket.upload(&self.dir().join(file), &object, entry)?;
        }
        let object = manifest::object(&manifest.id);
        // One that is there already is this one, put by a try whose answer got lost: its name has its hash.
        bucket.create(&object, text).map(drop)
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
            catalog: self.catalog,
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
        let entry = hash::file(&mut File::open(&path).at(&path)?).at(&path)?;
        files.insert(file, entry);
    }
    Ok(files)
}

/// The time for a new generation's id: now, but always later than that of the newest one.
fn next_time(store: &Store) -> Result<SystemTime, Error> {
    let ids = store.directories("generations")?;
    let newest = ids.iter().filter_map(|id| id_time(id)).max();
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
