//! Directories that are being written, out of everybody's sight, until they are whole.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    durable,
    error::{AtPath as _, Error},
    lock::Lock,
    store::Store,
};

/// A directory under `<store>/staging`, removed on drop unless it was moved into place.
///
/// Its writer holds the lock `<name>.lock` beside it, so that the next writer can tell the leftovers
/// of dead ones from work in progress, whatever machine or container they ran in.
#[derive(Debug)]
pub(crate) struct StagedDir {
    dir: TempDir,
    lock_path: PathBuf,
    _lock: Lock,
}

impl StagedDir {
    /// Removes what dead writers left and creates an empty directory, which others may read as the
    /// umask says; blocks the thread.
    pub(crate) fn create(store: &Store) -> Result<Self, Error> {
        let parent = store.staging_dir();
        durable::create_dir(&parent)?;
        let _creating = Lock::wait(&parent.join("LOCK"))?;
        collect(&parent)?;
        let dir = tempfile::Builder::new()
            .prefix(&format!("{}-", std::process::id()))
            .permissions(Permissions::from_mode(0o777))
            .tempdir_in(&parent)
            .at(&parent)?;
        let lock_path = dir.path().with_extension("lock");
        let lock = Lock::wait(&lock_path)?;
        Ok(Self {
            dir,
            lock_path,
            _lock: lock,
        })
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Makes what is written durable, where it is.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        sync_tree(self.path())
    }

    /// Makes the directory durable and moves it to `target`, which must not exist.
    pub(crate) fn move_to(mut self, target: &Path) -> Result<(), Error> {
        self.sync()?;
        if let Some(parent) = target.parent() {
            durable::create_dir(parent)?;
        }
        durable::rename(self.path(), target)?;
        self.dir.disable_cleanup(true);
        Ok(())
    }
}

impl Drop for StagedDir {
    fn drop(&mut self) {
        // A lock file that stays is collected by the next writer.
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// Removes the staged directories and lock files that nobody holds a lock for.
fn collect(parent: &Path) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(parent).at(parent)? {
        let path = entry.at(parent)?.path();
        if path.file_name().is_some_and(|name| name != "LOCK") {
            names.insert(path.with_extension(""));
        }
    }
    for dir in names {
        let lock_path = dir.with_extension("lock");
        if let Some(_lock) = Lock::try_take(&lock_path)? {
            absent_is_fine(fs::remove_dir_all(&dir)).at(&dir)?;
            absent_is_fine(fs::remove_file(&lock_path)).at(&lock_path)?;
        }
    }
    Ok(())
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Makes the files and directories below `dir`, and `dir`, durable.
fn sync_tree(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).at(dir)? {
        let path = entry.at(dir)?.path();
        match path.is_dir() {
            true => sync_tree(&path)?,
            false => durable::sync(&path)?,
        }
    }
    durable::sync(dir)
}
