//! Hashes, writes and removes files of a job.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use generation::manifest::FileEntry;
use serde::Serialize;

use crate::error::Error;

/// Size and hash of a file.
///
/// # Errors
/// [`Error::Read`] if it cannot be read.
pub(crate) fn hash(path: &Path) -> Result<FileEntry, Error> {
    let read = || {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path)?)?;
        Ok(FileEntry {
            bytes: hasher.count(),
            blake3: hasher.finalize().to_hex().to_string(),
        })
    };
    read().map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

/// Tells where writing failed.
pub(crate) fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Write { path, source }
}

/// Writes a file of JSON, durably.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(&serde_json::to_vec_pretty(value)?)?;
        file.sync_all()
    };
    write().map_err(unwritable(path))
}

/// Makes a file, or the entries of a directory, durable.
pub(super) fn sync(path: &Path) -> Result<(), Error> {
    let sync = || File::open(path)?.sync_all();
    sync().map_err(unwritable(path))
}

/// Removes a file, or a directory with all that is in it, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    let removed = match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    match removed {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(unwritable(path)),
    }
}
