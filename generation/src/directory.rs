//! Small files of a store in a directory: created once, read, listed, removed.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use crate::{
    durable,
    error::{AtPath as _, Error},
    staging::StagedDir,
    store::Store,
};

/// Writes `name` if there is none, whole and durable; returns whether there was none.
pub(crate) fn create(store: &Store, name: &str, bytes: &[u8]) -> Result<bool, Error> {
    let target = store.root().join(name);
    if target.exists() {
        return Ok(false);
    }
    let staged = StagedDir::create(store)?;
    let temporary = staged.path().join("file");
    durable::write(&temporary, bytes)?;
    if let Some(parent) = target.parent() {
        durable::create_dir(parent)?;
    }
    durable::link(&temporary, &target)
}

/// Reads a file whole; `None` if there is none.
pub(crate) fn read(root: &Path, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let path = root.join(name);
    let file = match File::open(&path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.at(&path)?,
    };
    let size = file.metadata().at(&path)?.len();
    if size > limit {
        let expected = format!("at most {limit}");
        return Err(Error::mismatch(name, "size in bytes", size, expected));
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).at(&path)?;
    Ok(Some(bytes))
}

/// Lists what lies in the directory `name` by its name, in order: directories, or everything else.
pub(crate) fn list(root: &Path, name: &str, directories: bool) -> Result<Vec<String>, Error> {
    let path = root.join(name);
    let entries = match fs::read_dir(&path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.at(&path)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.at(&path)?;
        if entry.file_type().at(&path)?.is_dir() == directories {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes a file, if there is one.
pub(crate) fn remove(root: &Path, name: &str) -> Result<(), Error> {
    let path = root.join(name);
    match fs::remove_file(&path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => {
            removed.at(&path)?;
            durable::sync_parent(&path)
        }
    }
}
