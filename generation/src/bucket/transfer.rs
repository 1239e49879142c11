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

impl Bucket {
    /// Uploads the file at `path`; an object that is there already is replaced as a whole.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if it is not what `entry` says, in which case a large one was not put.
    pub(crate) fn upload(&self, path: &Path, name: &str, entry: &FileEntry) -> Result<(), Error> {
        let file = File::open(path).at(path)?;
        let piece = PIECE.max(entry.bytes.div_ceil(PIECES));
        let mut hasher = blake3::Hasher::new();
        let mut next = || -> Result<Vec<u8>, Error> {
            let mut bytes = Vec::new();
            (&file).take(piece).read_to_end(&mut bytes).at(path)?;
            hasher.update(&bytes);
            Ok(bytes)
        };
        let first = next()?;
        if entry.bytes <= piece {
            check(name, &hasher, entry)?;
            return self.ask(name, |objects, key, name| async move {
                let put = objects.put(&key, first.into()).await;
                put.map(drop).map_err(at(&name))
            });
        }
        let mut upload = self.ask(name, |objects, key, name| async move {
            let upload = objects.put_multipart(&key).await.map_err(at(&name))?;
            Ok(WriteMultipart::new_with_chunk_size(upload, piece as usize))
        })?;
        let mut bytes = first;
        while !bytes.is_empty() {
            upload = self.add(name, upload, bytes)?;
            bytes = match next() {
                Ok(bytes) => bytes,
                Err(cause) => return self.give_up(name, upload, cause),
            };
        }
        match check(name, &hasher, entry) {
            Ok(()) => self.ask(name, |_, _, name| async move {
                upload.finish().await.map(drop).map_err(at(&name))
            }),
            Err(cause) => self.give_up(name, upload, cause),
        }
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

    fn give_up(&self, name: &str, upload: WriteMultipart, cause: Error) -> Result<(), Error> {
        self.ask(name, |_, _, _| async move {
            let _ = upload.abort().await;
            Err(cause)
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
