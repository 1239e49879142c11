//! Reads files of an artifact, never outside its directory and never unhashed.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use crate::{
    artifact::listing::{FileEntry, Listing},
    error::Error,
};

/// Reads a listed file of at most `limit` bytes; what is returned is what was hashed.
pub(crate) fn listed(
    dir: &Path,
    listing: &Listing,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, Error> {
    let entry = listing.entry(name).ok_or_else(|| Error::Unlisted {
        dir: dir.to_owned(),
        name: name.to_owned(),
    })?;
    let bytes = unlisted(dir, name, entry.bytes.min(limit))?;
    check(
        &dir.join(name),
        entry,
        bytes.len() as u64,
        &blake3::hash(&bytes),
    )?;
    Ok(bytes)
}

/// Compares a file with its entry without keeping its content.
pub(crate) fn verify(dir: &Path, name: &str, entry: &FileEntry) -> Result<(), Error> {
    let (path, file, size) = open(dir, name)?;
    if size != entry.bytes {
        return Err(wrong_size(&path, size, entry.bytes.to_string()));
    }
    let mut hasher = blake3::Hasher::new();
    hasher
        .update_reader(file.take(entry.bytes.saturating_add(1)))
        .map_err(|source| Error::File {
            path: path.clone(),
            source,
        })?;
    check(&path, entry, hasher.count(), &hasher.finalize())
}

/// Reads a file of at most `limit` bytes that nothing vouches for.
pub(crate) fn unlisted(dir: &Path, name: &str, limit: u64) -> Result<Vec<u8>, Error> {
    let (path, file, size) = open(dir, name)?;
    if size > limit {
        return Err(wrong_size(&path, size, format!("at most {limit}")));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|source| Error::File { path, source })?;
    Ok(bytes)
}

/// Opens a plain file that lies inside `dir`, whatever links say.
fn open(dir: &Path, name: &str) -> Result<(PathBuf, File, u64), Error> {
    let path = dir.join(name);
    let at = |source| Error::File {
        path: path.clone(),
        source,
    };
    let inside = fs::canonicalize(&path)
        .map_err(at)?
        .starts_with(fs::canonicalize(dir).map_err(at)?);
    let file = File::open(&path).map_err(at)?;
    let metadata = file.metadata().map_err(at)?;
    if !inside || !metadata.is_file() {
        return Err(Error::Name {
            name: name.to_owned(),
        });
    }
    Ok((path, file, metadata.len()))
}

fn check(path: &Path, entry: &FileEntry, size: u64, hash: &blake3::Hash) -> Result<(), Error> {
    if size != entry.bytes {
        return Err(wrong_size(path, size, entry.bytes.to_string()));
    }
    let found = hash.to_hex();
    if found.as_str() != entry.blake3 {
        return Err(Error::Hash {
            path: path.to_owned(),
            found: found.to_string(),
            expected: entry.blake3.clone(),
        });
    }
    Ok(())
}

fn wrong_size(path: &Path, found: u64, expected: String) -> Error {
    Error::Size {
        path: path.to_owned(),
        found,
        expected,
    }
}
