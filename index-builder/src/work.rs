//! The directory of a job: its plan, and what each step that is done made.
//!
//! ```text
//! LOCK                      held by `run` and `plan` alone, by the other steps together
//! plan.json                 what the job is made of
//! part-0001/                what part 1 spooled: items-0000.spool, ..; done.json names the files with sizes and hashes
//! shard-0000/               what is built of shard 0: rows, graph, items, cells, the most popular; done.json
//! verified.json             what was measured
//! published.json            the generation that the job became
//! ```
//!
//! A step writes into `<step>.new` and renames it into place when everything in it is durable, so a directory of that name is
//! whole; where a step was killed, it begins anew.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use generation::manifest::FileEntry;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::warn;

pub(crate) use crate::work::{
    files::{hash, unwritable},
    lock::Lock,
};
use crate::{
    error::{Error, JobError},
    work::{
        files::{remove, sync, write_json},
        lock::lock,
    },
};

mod files;
mod lock;

/// What a step made, the list of its files; written last.
const DONE: &str = "done.json";
/// What keeps two processes apart.
const LOCK: &str = "LOCK";

/// The directory of a job.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    dir: PathBuf,
}

/// What a step made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Made<T> {
    /// What the step says of it.
    pub(crate) made: T,
    /// Its files.
    pub(crate) files: BTreeMap<String, FileEntry>,
}

/// What a step is making.
pub(crate) struct Making {
    new: PathBuf,
    target: PathBuf,
}

impl Work {
    /// Makes the directory if there is none.
    ///
    /// # Errors
    /// [`Error::Write`] if it cannot be made.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(unwritable(dir))?;
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// Where `name` is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Where it is.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps every other process out.
    ///
    /// # Errors
    /// [`JobError::Busy`] if one is in.
    pub(crate) fn lock_alone(&self) -> Result<Lock, Error> {
        lock(&self.path(LOCK), File::try_lock)
    }

    /// Keeps out those that would be alone, and those that do the same step.
    ///
    /// # Errors
    /// [`JobError::Busy`] if there is one.
    pub(crate) fn lock_step(&self, step: &str) -> Result<[Lock; 2], Error> {
        Ok([
            lock(&self.path(LOCK), File::try_lock_shared)?,
            lock(&self.path(&format!("{step}.lock")), File::try_lock)?,
        ])
    }

    /// Reads a file of JSON; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Read`], or [`JobError::Malformed`] if it holds something else.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let path = self.path(name);
        let text = match fs::read(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Read { path, source }),
            Ok(text) => text,
        };
        let read = serde_json::from_slice(&text);
        Ok(Some(read.map_err(|cause| JobError::Malformed {
            path,
            reason: cause.to_string(),
        })?))
    }

    /// Writes a file of JSON, all of it or nothing.
    ///
    /// # Errors
    /// [`Error::Write`] if it cannot be written.
    pub(crate) fn write(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        let (path, new) = (self.path(name), self.path(&format!("{name}.new")));
        write_json(&new, value)?;
        fs::rename(&new, &path).map_err(unwritable(&path))?;
        sync(&self.dir)
    }

    /// What a step made, if it is done and its files have the sizes that they had.
    ///
    /// # Errors
    /// [`Error::Read`] or [`JobError::Malformed`] if its list cannot be read.
    pub(crate) fn done<T: DeserializeOwned>(&self, step: &str) -> Result<Option<Made<T>>, Error> {
        let Some(made) = self.read::<Made<T>>(&format!("{step}/{DONE}"))? else {
            return Ok(None);
        };
        let is_whole = |(name, entry): (&String, &FileEntry)| {
            let found = fs::metadata(self.path(step).join(name));
            found.is_ok_and(|found| found.len() == entry.bytes)
        };
        if made.files.iter().all(is_whole) {
            return Ok(Some(made));
        }
        warn!(step, "its files are not what they were; it is done again");
        Ok(None)
    }

    /// Holds the files of a step against their hashes.
    ///
    /// # Errors
    /// [`JobError::Damaged`] with the first that is not what `command` made; the step is forgotten then.
    pub(crate) fn check<T>(&self, step: &str, made: &Made<T>, command: &str) -> Result<(), Error> {
        for (name, expected) in &made.files {
            let path = self.path(step).join(name);
            let found = hash(&path)?;
            if found != *expected {
                self.forget(step)?;
                return Err(JobError::Damaged {
                    path,
                    found: found.blake3,
                    expected: expected.blake3.clone(),
                    command: command.to_owned(),
                }
                .into());
            }
        }
        Ok(())
    }

    /// Begins a step in an empty directory.
    ///
    /// # Errors
    /// [`Error::Write`] if what is there cannot be removed, or the directory cannot be made.
    pub(crate) fn begin(&self, step: &str) -> Result<Making, Error> {
        let making = Making {
            new: self.path(&format!("{step}.new")),
            target: self.path(step),
        };
        remove(&making.new)?;
        fs::create_dir(&making.new).map_err(unwritable(&making.new))?;
        Ok(making)
    }

    /// Forgets what a step made.
    ///
    /// # Errors
    /// [`Error::Write`] if it cannot be removed.
    pub(crate) fn forget(&self, step: &str) -> Result<(), Error> {
        remove(&self.path(step))
    }

    /// Removes the job's files, the plan first; nothing else that lies there, and no lock.
    ///
    /// # Errors
    /// [`Error::Write`] if one cannot be removed.
    pub(crate) fn clear(&self) -> Result<(), Error> {
        self.forget("plan.json")?;
        for entry in fs::read_dir(&self.dir).map_err(unwritable(&self.dir))? {
            let entry = entry.map_err(unwritable(&self.dir))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_step = name.starts_with("part-") || name.starts_with("shard-");
            let is_mark = name.starts_with("verified.json") || name.starts_with("published.json");
            if (is_step || is_mark || name == "plan.json.new") && !name.ends_with(".lock") {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

impl Making {
    /// Where to write.
    pub(crate) fn dir(&self) -> &Path {
        &self.new
    }

    /// Hashes what was written, makes it durable and puts it into place, instead of what is there.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Write`] if a file operation fails.
    pub(crate) fn finish<T: Serialize>(self, made: T) -> Result<Made<T>, Error> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&self.new).map_err(unwritable(&self.new))? {
            let entry = entry.map_err(unwritable(&self.new))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            files.insert(name, hash(&entry.path())?);
            sync(&entry.path())?;
        }
        let made = Made { made, files };
        write_json(&self.new.join(DONE), &made)?;
        sync(&self.new)?;
        remove(&self.target)?;
        fs::rename(&self.new, &self.target).map_err(unwritable(&self.target))?;
        self.target.parent().map_or(Ok(()), sync)?;
        Ok(made)
    }
}
