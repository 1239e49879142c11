//! Puts artifacts into the store, whole or not at all, and finds them there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    error::{AtPath as _, Error},
    name,
    store::Store,
};

mod copy;
mod listed;

/// The file that lists an artifact's others; the last to be put.
const LISTING: &str = "artifact.json";
/// The evaluation, which may differ between two artifacts of one space, as then does the listing.
const REPORT: &str = "report.json";

impl Store {
    /// Copies the artifact directory `dir` into the store under its `space`, whole or not at all;
    /// an artifact that is there already is replaced if its listing or its report is another. Into a bucket go the files
    /// that the listing names.
    ///
    /// # Errors
    /// [`Error::Name`] for a space that is no name, [`Error::Mismatch`] if `dir` holds anything but
    /// regular files and directories of them.
    pub async fn put_artifact(&self, dir: &Path, space: &str) -> Result<(), Error> {
        let (dir, space) = (dir.to_owned(), name::check("artifact", space)?.to_owned());
        self.blocking(move |store| put(&store, &dir, &space)).await
    }

    /// Returns the directory of an artifact on this machine, fetching what a bucket has and the cache has not.
    ///
    /// # Errors
    /// [`Error::Name`] for a space that is no name, [`Error::Missing`] if the store has no such artifact,
    /// [`Error::Mismatch`] with both sizes or hashes if a bucket has something else under the name of one of its files.
    pub async fn fetch_artifact(&self, space: &str) -> Result<PathBuf, Error> {
        let space = name::check("artifact", space)?.to_owned();
        self.blocking(move |store| fetch(&store, &space)).await
    }

    /// Whether the store has the artifact of `space`.
    ///
    /// # Errors
    /// [`Error::Name`] for a space that is no name.
    pub async fn has_artifact(&self, space: &str) -> Result<bool, Error> {
        let space = name::check("artifact", space)?.to_owned();
        self.blocking(move |store| has(&store, &space)).await
    }

    /// Returns where a store in a directory has, or would have, the artifact of `space`.
    ///
    /// # Errors
    /// [`Error::Name`] for a space that is no name.
    pub fn artifact_dir(&self, space: &str) -> Result<PathBuf, Error> {
        let name = name::check("artifact", space)?;
        Ok(self.root().join("artifacts").join(name))
    }

    /// Lists the spaces of the artifacts, in the order of their names.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn artifacts(&self) -> Result<Vec<String>, Error> {
        self.blocking(|store| list(&store)).await
    }
}

/// Puts the artifact in `dir`; does nothing if the store holds the same, else it takes its place. Blocks the thread.
fn put(store: &Store, dir: &Path, space: &str) -> Result<(), Error> {
    match store.bucket() {
        Some(bucket) => listed::put(bucket, dir, space),
        None => copy::put(store, dir, &store.artifact_dir(space)?),
    }
}

/// Returns an artifact's directory on this machine.
fn fetch(store: &Store, space: &str) -> Result<PathBuf, Error> {
    let found = match store.bucket() {
        Some(bucket) => listed::fetch(store, bucket, space)?,
        None => Some(store.artifact_dir(space)?).filter(|dir| dir.is_dir()),
    };
    found.ok_or_else(|| missing(space))
}

/// Whether the store has an artifact.
pub(crate) fn has(store: &Store, space: &str) -> Result<bool, Error> {
    match store.bucket() {
        Some(bucket) => Ok(bucket.size(&object(space, LISTING))?.is_some()),
        None => Ok(store.artifact_dir(space)?.is_dir()),
    }
}

/// Lists the spaces of the artifacts, in order.
fn list(store: &Store) -> Result<Vec<String>, Error> {
    let mut spaces = Vec::new();
    for space in store.directories("artifacts")? {
        if has(store, &space)? {
            spaces.push(space);
        }
    }
    Ok(spaces)
}

/// The error of an artifact that is not there.
pub(crate) fn missing(space: &str) -> Error {
    Error::Missing {
        what: "artifact",
        name: space.to_owned(),
    }
}

/// The name of an artifact's file in a bucket.
fn object(space: &str, file: &str) -> String {
    format!("artifacts/{space}/{file}")
}

/// Whether a directory is at `path`, or a file; refuses all else, and follows no link.
fn is_dir(path: &Path) -> Result<bool, Error> {
    let kind = fs::symlink_metadata(path).at(path)?;
    match kind.is_dir() || kind.is_file() {
        true => Ok(kind.is_dir()),
        false => Err(Error::mismatch(
            path.display().to_string(),
            "kind",
            "a link or device",
            "a file or directory",
        )),
    }
}
