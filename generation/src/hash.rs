//! Hashes files, and refuses those that are not what they should be.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use crate::{
    error::{AtPath as _, Error},
    manifest::FileEntry,
};

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// Reads `file` from where it is to its end; returns its size in bytes and its BLAKE3.
pub(crate) fn file(file: &mut File) -> io::Result<FileEntry> {
    let hasher = read(file)?;
    Ok(FileEntry {
        bytes: hasher.count(),
        blake3: hasher.finalize().to_hex().to_string(),
    })
}

/// Opens the file at `path`, at its first byte, and hashes it through this very descriptor.
///
/// # Errors
/// [`Error::Mismatch`] with both sizes or hashes if it is not what `entry` says; errors call it `name`.
pub(crate) fn open(path: &Path, name: &str, entry: &FileEntry) -> Result<File, Error> {
    let mut file = File::open(path).at(path)?;
    check_size(name, file.metadata().at(path)?.len(), entry)?;
    let hasher = read(&mut file).at(path)?;
    check(name, hasher.count(), &hasher.finalize(), entry)?;
    file.seek(SeekFrom::Start(0)).at(path)?;
    Ok(file)
}

/// Refuses a size or a hash that `entry` does not say.
pub(crate) fn check(
    name: &str,
    bytes: u64,
    hash: &blake3::Hash,
    entry: &FileEntry,
) -> Result<(), Error> {
    check_size(name, bytes, entry)?;
    let hash = hash.to_hex();
    match hash.as_str() == entry.blake3 {
        true => Ok(()),
        false => Err(Error::mismatch(name, "blake3", hash, &entry.blake3)),
    }
}

/// Refuses a size that `entry` does not say.
pub(crate) fn check_size(name: &str, bytes: u64, entry: &FileEntry) -> Result<(), Error> {
    match bytes == entry.bytes {
        true => Ok(()),
        false => Err(Error::mismatch(name, "size in bytes", bytes, entry.bytes)),
    }
}

fn read(file: &mut File) -> io::Result<blake3::Hasher> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher),
            read => hasher.update(&chunk[..read]),
        };
    }
}
