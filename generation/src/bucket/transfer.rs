//! Moves files into a bucket and out of it, piece by piece, hashing what passes.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    path::Path,
};

use object_store::{Error as Cause, ObjectStoreExt as _, WriteMultipart};

use crate::{
    bucket::{Bucket, at},
    error::{AtPath as _, Error},
    hash,
    manifest::FileEntry,
};

/// Bytes of a piece; larger in files of which there would be more than [`PIECES`].
const PIECE: u64 = 8 << 20;
/// The most pieces of a file: S3 takes 10,000.
const PIECES: u64 = 9_000;
/// Pieces on their way at once.
const AT_ONCE: usize = 4;

/// A file that is read and hashed piece by piece.
struct Pieces<'a> {
    file: File,
    path: &'a Path,
    bytes: u64,
    hasher: blake3::Hasher,
}

impl Pieces<'_> {
    /// The next piece; empty at the end.
    fn next(&mut self) -> Result<Vec<u8>, Error> {
        let mut piece = Vec::new();
        let mut rest = (&self.file).take(self.bytes);
        rest.read_to_end(&mut piece).at(self.path)?;
        self.hasher.update(&piece);
        Ok(piece)
    }
}

impl Bucket {
    /// Uploads the file at `path`; an object that is there already is replaced as a whole.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if it is not what `entry` says, in which case it was not put.
    pub(crate) fn upload(&self, path: &Path, name: &str, entry: &FileEntry) -> Result<(), Error> {
        let mut pieces = Pieces {
            file: File::open(path).at(path)?,
            path,
            bytes: PIECE.max(entry.bytes.div_ceil(PIECES)),
            hasher: blake3::Hasher::new(),
        };
        if entry.bytes > pieces.bytes {
            return self.upload_large(name, entry, pieces);
        }
        let bytes = pieces.next()?;
        check(name, &pieces.hasher, entry)?;
        self.ask(name, |objects, key, name| async move {
            let put = objects.put(&key, bytes.into()).await;
            put.map(drop).map_err(at(&name))
        })
    }

    fn upload_large(
        &self,
        name: &str,
        entry: &FileEntry,
        mut pieces: Pieces<'_>,
    ) -> Result<(), Error> {
        let size = pieces.bytes as usize;
        let mut upload = self.ask(name, |objects, key, name| async move {
            let upload = objects.put_multipart(&key).await.map_err(at(&name))?;
            Ok(WriteMultipart::new_with_chunk_size(upload, size))
        })?;
        let checked = loop {
            match pieces.next() {
                Ok(bytes) if bytes.is_empty() => break check(name, &pieces.hasher, entry),
                Ok(bytes) => upload = self.add(name, upload, bytes)?,
                Err(cause) => break Err(cause),
            }
        };
        self.ask(name, |_, _, name| async move {
            match checked {
                Ok(()) => upload.finish().await.map(drop).map_err(at(&name)),
                Err(cause) => {
                    let _ = upload.abort().await;
                    Err(cause)
                }
            }
        })
    }

    fn add(
        &self,
        name: &str,
        mut upload: WriteMultipart,
        bytes: Vec<u8>,
    ) -> Result<WriteMultipart, Error> {
        self.ask(name, |_, _, name| async move {
            match upload.wait_for_capacity(AT_ONCE).await {
                Ok(()) => {
                    upload.put(bytes.into());
                    Ok(upload)
                }
                Err(cause) => {
                    // What cannot be removed now, the bucket's own rule for unfinished uploads removes.
                    let _ = upload.abort().await;
                    Err(at(&name)(cause))
                }
            }
        })
    }

    /// Writes the content of an object into `file`, which lies at `path`.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is none, [`Error::Mismatch`] with both sizes or hashes if it is not what `entry` says.
    pub(crate) fn download(
        &self,
        name: &str,
        entry: &FileEntry,
        file: &mut File,
        path: &Path,
    ) -> Result<(), Error> {
        let size = self.size(name)?.ok_or_else(|| missing(name))?;
        hash::check_size(name, size, entry)?;
        let mut hasher = blake3::Hasher::new();
        while hasher.count() < size {
            let range = hasher.count()..size.min(hasher.count() + PIECE);
            let bytes = self.ask(name, |objects, key, name| async move {
                match objects.get_range(&key, range).await {
                    // Somebody removed it meanwhile.
                    Err(Cause::NotFound { .. }) => Err(missing(&name)),
                    read => read.map_err(at(&name)),
                }
            })?;
            if bytes.is_empty() {
                break;
            }
            hasher.update(&bytes);
            file.write_all(&bytes).at(path)?;
        }
        check(name, &hasher, entry)
    }
}

fn missing(name: &str) -> Error {
    Error::Missing {
        what: "object",
        name: name.to_owned(),
    }
}

fn check(name: &str, hasher: &blake3::Hasher, entry: &FileEntry) -> Result<(), Error> {
    hash::check(name, hasher.count(), &hasher.finalize(), entry)
}
