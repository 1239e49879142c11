//! An artifact in a bucket: the files that its listing names, and last the listing.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    artifacts::{LISTING, REPORT, is_dir, object},
    bucket::Bucket,
    cache,
    error::{AtPath as _, Error},
    manifest::FileEntry,
    name,
    store::Store,
};

/// The most bytes of a listing.
const LIMIT: u64 = 16 << 20;

/// What an artifact's listing says of its files.
#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    files: BTreeMap<String, FileEntry>,
    #[serde(default)]
    report: Option<FileEntry>,
}

impl Listing {
    fn parse(space: &str, bytes: &[u8]) -> Result<Self, Error> {
        let listing: Self = serde_json::from_slice(bytes).map_err(|source| Error::Json {
            name: object(space, LISTING),
            source,
        })?;
        for file in listing.files.keys() {
            name::check_path("file", file)?;
        }
        Ok(listing)
    }

    /// Every file, with its path in the artifact and its name in the bucket. A report is put under its hash: a new one
    /// changes nothing for those who read the old listing.
    fn files(&self, space: &str) -> impl Iterator<Item = (&str, String, &FileEntry)> {
        let files = self.files.iter();
        let files = files.map(move |(file, entry)| (file.as_str(), object(space, file), entry));
        let report = self.report.as_ref().map(move |entry| {
            let hash = entry.blake3.get(..16).unwrap_or_default();
            (REPORT, object(space, &format!("report-{hash}.json")), entry)
        });
        files.chain(report)
    }
}

/// Puts the artifact in `dir` under its space.
pub(super) fn put(bucket: &Bucket, dir: &Path, space: &str) -> Result<(), Error> {
    let path = dir.join(LISTING);
    let bytes = fs::read(&path).at(&path)?;
    let name = object(space, LISTING);
    let found = bucket.read(&name, LIMIT)?;
    if found.as_ref().is_some_and(|found| found.bytes == bytes) {
        return Ok(());
    }
    for (file, object, entry) in Listing::parse(space, &bytes)?.files(space) {
        let path = dir.join(file);
        is_dir(&path)?;
        bucket.upload(&path, &object, entry)?;
    }
    let put = match found {
        None => bucket.create(&name, &bytes)?,
        Some(found) => bucket.replace(&name, &bytes, found.version)?,
    };
    // Of two that put the same artifact at once, the second finds it there.
    match put || matches!(bucket.read(&name, LIMIT)?, Some(found) if found.bytes == bytes) {
        true => Ok(()),
        false => Err(Error::Conflict {
            name: LISTING,
            found: "another".to_owned(),
            expected: "the one it was".to_owned(),
        }),
    }
}

/// Returns the cache's directory of an artifact, with every file that the listing in the bucket names; `None` if there
/// is none.
pub(super) fn fetch(store: &Store, bucket: &Bucket, space: &str) -> Result<Option<PathBuf>, Error> {
    let Some(found) = bucket.read(&object(space, LISTING), LIMIT)? else {
        return Ok(None);
    };
    // By the listing's hash: who reads the files of an older listing goes on.
    let version = blake3::hash(&found.bytes).to_hex();
    let dir = store.artifact_dir(space)?.join(&version[..16]);
    for (file, object, entry) in Listing::parse(space, &found.bytes)?.files(space) {
        cache::open(store, bucket, &object, &dir.join(file), entry)?;
    }
    let path = dir.join(LISTING);
    if !fs::read(&path).is_ok_and(|bytes| bytes == found.bytes) {
        cache::put(store, &path, |file, temporary| {
            file.write_all(&found.bytes).at(temporary)
        })?;
    }
    Ok(Some(dir))
}
