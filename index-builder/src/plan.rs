//! What a job is made of: written once, before anything else, and held against what every step finds.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use generation::{manifest::FileEntry, rows::Storage, store::Current};
use serde::{Deserialize, Serialize};

use crate::{
    config::{ColumnsConfig, Config, Format},
    error::{Error, JobError},
    updates::Range,
    work,
};

/// The plan's name in the directory of the job.
pub(crate) const FILE: &str = "plan.json";
/// The version of that file.
const FORMAT: u32 = 1;

/// What a job is made of.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// The version of this file.
    pub(crate) format: u32,
    /// The artifact, by its embedding space.
    pub(crate) space: String,
    /// The catalog.
    pub(crate) catalog: Input,
    /// The ready vectors, if there are some.
    pub(crate) vectors: Option<Input>,
    /// What CURRENT named, whatever share a candidate had: what the generation is to follow.
    pub(crate) current: Option<Current>,
    /// Which deltas of the catalog's log are taken in.
    pub(crate) updates: Range,
    /// What decides what the files will hold.
    pub(crate) settings: Settings,
}

/// A file that is read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its size.
    pub(crate) bytes: u64,
    /// BLAKE3 of its content, in hex.
    pub(crate) blake3: String,
}

/// The settings that decide what the files will hold; what is measured and allowed may change while a job is done.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// `catalog_format`.
    pub(crate) catalog_format: Format,
    /// `catalog_columns`.
    pub(crate) catalog_columns: ColumnsConfig,
    /// `shards`.
    pub(crate) shards: u32,
    /// `parts`.
    pub(crate) parts: u32,
    /// `reuse`.
    pub(crate) reuse: bool,
    /// `rows`; plans of before know of no other than `f32`.
    #[serde(default)]
    pub(crate) rows: Storage,
    /// `embed.unknown_items`.
    pub(crate) unknown_items: bool,
    /// `hnsw.connectivity`.
    pub(crate) connectivity: usize,
    /// `hnsw.expansion_add`.
    pub(crate) expansion_add: usize,
}

impl Plan {
    /// Plans a job that takes in nothing of the log: reads the catalog, and the ready vectors, once to hash them; blocks the thread.
    ///
    /// # Errors
    /// [`Error::Read`] if one of them cannot be read.
    pub(crate) fn make(
        config: &Config,
        space: &str,
        current: Option<Current>,
    ) -> Result<Self, Error> {
        let vectors = config.has_vectors().then_some(&config.vectors);
        Ok(Self {
            format: FORMAT,
            space: space.to_owned(),
            catalog: Input::of(&config.catalog)?,
            vectors: vectors.map(|path| Input::of(path)).transpose()?,
            current,
            updates: Range::default(),
            settings: Settings::of(config),
        })
    }

    /// Whether it is of the same job as one that was made before: that the log has grown since makes no other.
    pub(crate) fn goes_on(&self, before: &Self) -> bool {
        let updates = before.updates;
        *before
            == Self {
                updates,
                ..self.clone()
            }
    }

    /// Refuses settings that decide otherwise than the plan.
    ///
    /// # Errors
    /// [`JobError::Changed`] with the first of them.
    pub(crate) fn check(&self, config: &Config) -> Result<(), JobError> {
        same("format", &FORMAT, &self.format)?;
        if !config.artifact.is_empty() {
            same("artifact", &config.artifact, &self.space)?;
        }
        let path = |path: &Path| path.display().to_string();
        let vectors = self.vectors.as_ref();
        let vectors = vectors.map_or_else(String::new, |vectors| path(&vectors.path));
        same("catalog", &path(&config.catalog), &path(&self.catalog.path))?;
        same("vectors", &path(&config.vectors), &vectors)?;
        let found = serde_json::to_value(Settings::of(config)).unwrap_or_default();
        let planned = serde_json::to_value(&self.settings).unwrap_or_default();
        for (what, planned) in planned.as_object().into_iter().flatten() {
            same(what, &found[what], planned)?;
        }
        Ok(())
    }

    /// Refuses a catalog, or ready vectors, that changed since; blocks the thread to hash them.
    ///
    /// # Errors
    /// [`JobError::Changed`] with both hashes, or [`Error::Read`].
    pub(crate) fn check_inputs(&self) -> Result<(), Error> {
        for input in [Some(&self.catalog), self.vectors.as_ref()]
            .into_iter()
            .flatten()
        {
            let found = Input::of(&input.path)?;
            let what = format!("blake3 of {}", input.path.display());
            same(&what, &found.blake3, &input.blake3)?;
        }
        Ok(())
    }

    /// The step of a part, from 1.
    ///
    /// # Errors
    /// [`JobError::Absent`] if there is no such part, or they are counted otherwise.
    pub(crate) fn part(&self, part: u32, of: u32) -> Result<String, JobError> {
        let parts = self.settings.parts;
        if of == parts && (1..=parts).contains(&part) {
            return Ok(part_step(part));
        }
        Err(JobError::Absent {
            what: "part",
            asked: format!("{part}/{of}"),
            range: format!("it has 1/{parts} to {parts}/{parts}"),
        })
    }

    /// The step of a shard, from 0.
    ///
    /// # Errors
    /// [`JobError::Absent`] if there is no such shard.
    pub(crate) fn shard(&self, shard: u32) -> Result<String, JobError> {
        let shards = self.settings.shards;
        if shard < shards {
            return Ok(shard_step(shard));
        }
        Err(JobError::Absent {
            what: "shard",
            asked: shard.to_string(),
            range: format!("it has 0 to {}", shards - 1),
        })
    }
}

impl Input {
    fn of(path: &Path) -> Result<Self, Error> {
        let FileEntry { bytes, blake3 } = work::hash(path)?;
        Ok(Self {
            path: path.to_owned(),
            bytes,
            blake3,
        })
    }
}

impl Settings {
    fn of(config: &Config) -> Self {
        Self {
            catalog_format: config.catalog_format,
            catalog_columns: config.catalog_columns.clone(),
            shards: config.shards,
            parts: config.parts,
            reuse: config.reuse,
            rows: config.rows,
            unknown_items: config.embed.unknown_items,
            connectivity: config.hnsw.connectivity,
            expansion_add: config.hnsw.expansion_add,
        }
    }
}

/// The directory of a part, from 1.
pub(crate) fn part_step(part: u32) -> String {
    format!("part-{part:04}")
}

/// The directory of a shard, from 0.
pub(crate) fn shard_step(shard: u32) -> String {
    format!("shard-{shard:04}")
}

fn same<T: PartialEq + ToString>(what: &str, found: &T, planned: &T) -> Result<(), JobError> {
    match found == planned {
        true => Ok(()),
        false => Err(JobError::Changed {
            what: what.to_owned(),
            planned: planned.to_string(),
            found: found.to_string(),
        }),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { parts, shards, .. } = self.settings;
        let Input { path, bytes, .. } = &self.catalog;
        write!(
            f,
            "{} ({bytes} bytes) in {parts} parts to {shards} shards of space {}",
            path.display(),
            self.space
        )
    }
}
