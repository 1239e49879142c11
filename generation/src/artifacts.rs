//! Puts an artifact directory into the store, whole or not at all.

use std::{fs, path::Path};

use crate::{
    error::{AtPath as _, Error},
    staging::StagedDir,
    store::Store,
};

/// Copies `dir` to `target`; does nothing if `target` is there. Blocks the thread.
pub(crate) fn put(store: &Store, dir: &Path, target: &Path) -> Result<(), Error> {
    if target.is_dir() {
        return Ok(());
    }
    let staged = StagedDir::create(store)?;
    copy_tree(dir, staged.path())?;
    match staged.move_to(target) {
        // Somebody else put the same artifact meanwhile.
        Err(Error::Io { .. }) if target.is_dir() => Ok(()),
        moved => moved,
    }
}

/// Copies regular files and directories; follows no link.
fn copy_tree(from: &Path, to: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(from).at(from)? {
        let entry = entry.at(from)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().at(&source)?;
        if kind.is_dir() {
            fs::create_dir(&target).at(&target)?;
            copy_tree(&source, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target).at(&source)?;
        } else {
            let name = source.display().to_string();
            return Err(Error::mismatch(
                name,
                "kind",
                "a link or device",
                "a file or directory",
            ));
        }
    }
    Ok(())
}
