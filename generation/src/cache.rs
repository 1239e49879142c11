//! Files of a bucket on this machine: fetched when they are asked for, hashed before every use.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use crate::{
    bucket::Bucket,
    directory,
    error::{AtPath as _, Error},
    hash,
    manifest::FileEntry,
    staging::StagedDir,
    store::Store,
};

/// Opens the file at `path` of the cache as [`hash::open`] does, fetching `object` where it is absent or damaged.
///
/// # Errors
/// [`Error::Mismatch`] if the object itself is not what `entry` says.
pub(crate) fn open(
    store: &Store,
    bucket: &Bucket,
    object: &str,
    path: &Path,
    entry: &FileEntry,
) -> Result<File, Error> {
    match hash::open(path, object, entry) {
        Err(Error::Mismatch { .. }) => {}
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    put(store, path, |file, temporary| {
        bucket.download(object, entry, file, temporary)
    })?;
    hash::open(path, object, entry)
}

/// Writes a file of the cache out of sight, then moves it to `path`.
pub(crate) fn put(
    store: &Store,
    path: &Path,
    write: impl FnOnce(&mut File, &Path) -> Result<(), Error>,
) -> Result<(), Error> {
    let staged = StagedDir::create(store)?;
    let temporary = staged.path().join("file");
    let mut file = File::create(&temporary).at(&temporary)?;
    write(&mut file, &temporary)?;
    let mut permissions = file.metadata().at(&temporary)?.permissions();
    permissions.set_readonly(true);
    file.set_permissions(permissions).at(&temporary)?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).at(parent)?;
    }
    fs::rename(&temporary, path).at(path)
}

/// Removes the generations that the bucket no longer has; who has a file of one mapped keeps it.
pub(crate) fn tidy(store: &Store) -> Result<(), Error> {
    for id in directory::directories(store.root(), "generations")? {
        if !store.is_published(&id)? {
            // What another process of this machine fetches or removes right now goes the next time.
            let _ = fs::remove_dir_all(store.root().join("generations").join(id));
        }
    }
    Ok(())
}
