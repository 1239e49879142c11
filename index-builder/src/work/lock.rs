//! Keeps two processes apart.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

use crate::{
    error::{Error, JobError},
    work::unwritable,
};

/// A lock, until it is dropped or the process dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Takes the lock file at `path` by `take`.
///
/// # Errors
/// [`JobError::Busy`] if another process holds it, [`Error::Write`] if there can be none.
pub(super) fn lock(
    path: &Path,
    take: fn(&File) -> Result<(), TryLockError>,
) -> Result<Lock, Error> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(unwritable(path))?;
    match take(&file) {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(JobError::Busy(path.to_owned()).into()),
        Err(TryLockError::Error(source)) => Err(unwritable(path)(source)),
    }
}
