//! Writes that are on disk when they return.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{self, Path},
};

use crate::error::{AtPath as _, Error};

#[cfg(test)]
pub(crate) mod steps;

/// Replaces `path` by `bytes` as a whole: a reader, or a machine that lost power, sees all of the
/// old content or all of the new.
///
/// Writers of one path must exclude each other; a temporary left by a killed one is overwritten.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let temporary = path.with_extension("new");
    write(&temporary, bytes)?;
    rename(&temporary, path)
}

/// Moves a file or directory to where nothing is, or a file over another; durable at once.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    step();
    fs::rename(from, to).at(to)?;
    sync_parent(to)
}

/// Gives a file the name `to` too, durable at once; returns `false` if that is taken.
pub(crate) fn link(from: &Path, to: &Path) -> Result<bool, Error> {
    step();
    match fs::hard_link(from, to) {
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(false),
        linked => {
            linked.at(to)?;
            sync_parent(to)?;
            Ok(true)
        }
    }
}

/// Writes a new file or overwrites an old one in place.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    step();
    let mut file = File::create(path).at(path)?;
    step();
    file.write_all(bytes).at(path)?;
    step();
    file.sync_all().at(path)
}

/// Makes a file's content or a directory's entries durable.
pub(crate) fn sync(path: &Path) -> Result<(), Error> {
    step();
    File::open(path).at(path)?.sync_all().at(path)
}

/// Makes the entry of `path` in its directory durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), Error> {
    path.parent().map_or(Ok(()), sync)
}

/// Creates a directory and those that are missing above it, each durable before the next.
pub(crate) fn create_dir(path: &Path) -> Result<(), Error> {
    // The parent of a relative path may be the empty one, which is no directory.
    create_missing(&path::absolute(path).at(path)?)
}

fn create_missing(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), create_missing)?;
    step();
    match fs::create_dir(path) {
        // Somebody else created it meanwhile.
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
        created => created.at(path)?,
    }
    sync_parent(path)
}

/// Comes before every operation that changes the disk; tests kill the process there.
pub(crate) fn step() {
    #[cfg(test)]
    steps::reach();
}
