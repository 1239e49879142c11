//! Exclusive locks between the processes of one store.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

use crate::error::{AtPath as _, Error};

/// A lock that is held until it is dropped or its process dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock file at `path`; blocks the thread.
    pub(crate) fn wait(path: &Path) -> Result<Self, Error> {
        let file = open(path)?;
        file.lock().at(path)?;
        Ok(Self { _file: file })
    }

    /// Takes the lock file at `path` unless somebody holds it.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>, Error> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(source).at(path),
        }
    }
}

/// Opens for writing: NFS grants exclusive locks to writers only.
fn open(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .at(path)
}
