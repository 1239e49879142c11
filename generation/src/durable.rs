//! Writes that are on disk when they return.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use crate::error::{AtPath as _, Error};

/// Replaces `path` by `bytes` as a whole: a reader, or a machine that lost power, sees all of the
/// old content or all of the new.
///
/// Writers of one path must exclude each other; a temporary left by a killed one is overwritten.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let temporary = path.with_extension("new");
    write(&temporary, bytes)?;
    fs::rename(&temporary, path).at(path)?;
    sync_parent(path)
}

/// Writes a new file or overwrites an old one in place.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = File::create(path).at(path)?;
    file.write_all(bytes).at(path)?;
    file.sync_all().at(path)
}

/// Makes a file's content or a directory's entries durable.
pub(crate) fn sync(path: &Path) -> Result<(), Error> {
    File::open(path).at(path)?.sync_all().at(path)
}

/// Makes the entry of `path` in its directory durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), Error> {
    path.parent().map_or(Ok(()), sync)
}

/// Creates a directory below a durable one, if it is not there.
pub(crate) fn create_dir(path: &Path) -> Result<(), Error> {
    if !path.is_dir() {
        fs::create_dir_all(path).at(path)?;
        sync_parent(path)?;
    }
    Ok(())
}
