//! Opens a published generation and hands out its files, each hashed before anybody reads it.

use std::{
    fs::File,
    io::{Seek as _, SeekFrom},
    path::PathBuf,
};

use crate::{
    error::{AtPath as _, Error},
    hash,
    manifest::{self, Manifest},
    store::Store,
};

/// A published generation.
#[derive(Debug)]
pub struct Generation {
    /// What it consists of.
    pub manifest: Manifest,
    dir: PathBuf,
}

/// Opens generation `id` by its manifest.
///
/// # Errors
/// [`Error::Missing`] if the store has no such generation; else as [`Manifest::parse`].
pub async fn open(store: &Store, id: &str) -> Result<Generation, Error> {
    let dir = store.generation_dir(id)?;
    let name = format!("generations/{id}/{}", manifest::FILE);
    let text = store.read(&name, manifest::BYTES_LIMIT).await?;
    let text = text.ok_or_else(|| Error::Missing {
        what: "generation",
        name: id.to_owned(),
    })?;
    Ok(Generation {
        manifest: Manifest::parse(&text, id)?,
        dir,
    })
}

impl Generation {
    /// Opens a file of the generation, at its first byte.
    ///
    /// Its bytes were hashed through this very descriptor, and files of a generation are never
    /// written: what is mapped or read from it is what was published. Blocks the thread for as long
    /// as reading it all takes.
    ///
    /// # Errors
    /// [`Error::Missing`] if the manifest names no such file, [`Error::Mismatch`] with both sizes or
    /// hashes if it is not the file that was published.
    pub fn file(&self, name: &str) -> Result<File, Error> {
        let entry = self.manifest.entry(name)?;
        let path = self.dir.join(name);
        let full_name = || format!("generations/{}/{name}", self.manifest.id);
        let mut file = File::open(&path).at(&path)?;
        let size = file.metadata().at(&path)?.len();
        if size != entry.bytes {
            return Err(Error::mismatch(
                full_name(),
                "size in bytes",
                size,
                entry.bytes,
            ));
        }
        let (_, hash) = hash::file(&mut file).at(&path)?;
        if hash != entry.blake3 {
            return Err(Error::mismatch(full_name(), "blake3", hash, &entry.blake3));
        }
        file.seek(SeekFrom::Start(0)).at(&path)?;
        Ok(file)
    }
}
