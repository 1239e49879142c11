//! Small files of a store in a directory: created once, read, listed, removed.

use std::{
    fs::{self, DirEntry, File},
    io::{self, Read as _},
    path::Path,
    time::Duration,
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

/// Lists the files in the directory `name`, in order, with the time since each was written.
pub(crate) fn objects(root: &Path, name: &str) -> Result<Vec<(String, Duration)>, Error> {
    let mut found = Vec::new();
    for entry in entries(root, name)?.filter(|entry| !is_directory(entry)) {
        let modified = match entry.metadata() {
            // It was removed meanwhile.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata.and_then(|metadata| metadata.modified()),
        };
        let age = modified.at(entry.path())?.elapsed().unwrap_or_default();
        found.push((name_of(&entry), age));
    }
    found.sort_unstable();
    Ok(found)
}

/// Lists the directories in the directory `name`, in order.
pub(crate) fn directories(root: &Path, name: &str) -> Result<Vec<String>, Error> {
    let directories = entries(root, name)?.filter(is_directory);
    let mut names: Vec<_> = directories.map(|entry| name_of(&entry)).collect();
    names.sort_unstable();
    Ok(names)
}

fn entries(root: &Path, name: &str) -> Result<std::vec::IntoIter<DirEntry>, Error> {
    let path = root.join(name);
    let entries = match fs::read_dir(&path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Vec::new(),
        entries => entries.at(&path)?.collect::<io::Result<_>>().at(&path)?,
    };
    Ok(entries.into_iter())
}

fn is_directory(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir())
}

fn name_of(entry: &DirEntry) -> String {
    entry.file_name().to_string_lossy().into_owned()
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
