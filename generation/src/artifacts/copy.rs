//! Copies an artifact into a store that is a directory.

use std::{fs, io, path::Path};

use crate::{
    artifacts::{LISTING, REPORT, is_dir},
    error::{AtPath as _, Error},
    staging::StagedDir,
    store::Store,
};

/// Copies `dir` to `target`; does nothing if `target` holds the same, else takes its place. Blocks
/// the thread.
pub(crate) fn put(store: &Store, dir: &Path, target: &Path) -> Result<(), Error> {
    if holds_same(dir, target)? {
        return Ok(());
    }
    let staged = StagedDir::create(store)?;
    copy_tree(dir, staged.path())?;
    staged.sync()?;
    // Of two that put the same artifact at once, the second finds it there.
    let _lock = store.lock()?;
    if !target.is_dir() {
        return staged.move_to(target);
    }
    if holds_same(dir, target)? {
        return Ok(());
    }
    let old = StagedDir::create(store)?;
    fs::rename(target, old.path()).at(target)?;
    staged.move_to(target).inspect_err(|_| {
        // Fails where the new one is in place, and only its entry could not be made durable.
        let _ = fs::rename(old.path(), target);
    })
}

/// Whether `target` is an artifact that says the same of itself as `dir`.
fn holds_same(dir: &Path, target: &Path) -> Result<bool, Error> {
    if !target.is_dir() {
        return Ok(false);
    }
    for file in [LISTING, REPORT] {
        if read(&dir.join(file))? != read(&target.join(file))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => bytes.map(Some).at(path),
    }
}

/// Copies regular files and directories; follows no link.
fn copy_tree(from: &Path, to: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(from).at(from)? {
        let entry = entry.at(from)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        match is_dir(&source)? {
            true => {
                fs::create_dir(&target).at(&target)?;
                copy_tree(&source, &target)?;
            }
            false => {
                fs::copy(&source, &target).at(&source)?;
            }
        }
    }
    Ok(())
}
