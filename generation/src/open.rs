//! Opens a published generation and hands out its files, each hashed before anybody reads it.

use std::fs::File;

use crate::{
    cache,
    error::Error,
    hash,
    manifest::{self, Manifest},
    name,
    store::Store,
};

/// A published generation.
#[derive(Debug)]
pub struct Generation {
    /// What it consists of.
    pub manifest: Manifest,
    store: Store,
}

/// Opens generation `id` by its manifest.
///
/// # Errors
/// [`Error::Missing`] if the store has no such generation; else as [`Manifest::parse`].
pub async fn open(store: &Store, id: &str) -> Result<Generation, Error> {
    let id = name::check("generation", id)?.to_owned();
    store
        .blocking(move |store| {
            let text = store.read_now(&manifest::object(&id), manifest::BYTES_LIMIT)?;
            let text = text.ok_or_else(|| Error::Missing {
                what: "generation",
                name: id.clone(),
            })?;
            let manifest = Manifest::parse(&text, &id)?;
            if store.bucket().is_some() && !store.generation_dir(&id)?.is_dir() {
                cache::tidy(&store)?;
            }
            Ok(Generation { manifest, store })
        })
        .await
}

impl Generation {
    /// Opens a file of the generation, at its first byte; one in a bucket is fetched into the cache first, unless it is
    /// there and whole.
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
        let id = &self.manifest.id;
        let path = self.store.generation_dir(id)?.join(name);
        let object = format!("generations/{id}/{name}");
        match self.store.bucket() {
            Some(bucket) => cache::open(&self.store, bucket, &object, &path, entry),
            None => hash::open(&path, &object, entry),
        }
    }
}
