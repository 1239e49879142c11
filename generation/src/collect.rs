//! Removes the generations that CURRENT no longer names.

use std::fs;

use crate::{
    durable,
    error::{AtPath as _, Error},
    manifest,
    pointer::Current,
    store::Store,
};

/// Removes all but `keep` generations, those that CURRENT names and the newest others; returns the ids removed.
///
/// What CURRENT names stays, even if that is more. While there is no CURRENT, only what is half removed goes.
///
/// Only unlinks: who has a file mapped keeps it whole. The manifest goes first, so that a
/// generation half removed is none, and the next collection finishes it.
///
/// # Errors
/// If the store cannot be read or a file cannot be removed.
pub async fn collect(store: &Store, keep: usize) -> Result<Vec<String>, Error> {
    let store = store.clone();
    tokio::task::spawn_blocking(move || collect_now(&store, keep)).await?
}

fn collect_now(store: &Store, keep: usize) -> Result<Vec<String>, Error> {
    let _lock = store.lock()?;
    let current = store.read_pointer_now::<Current>()?;
    let named = |id: &str| {
        let current = current.iter();
        current
            .flat_map(|current| current.value.generations())
            .any(|named| named == id)
    };
    let (mut kept, mut whole, mut removed) = (0, Vec::new(), Vec::new());
    for id in list(store)? {
        match store
            .generations_dir()
            .join(&id)
            .join(manifest::FILE)
            .exists()
        {
            _ if named(&id) => kept += 1,
            true => whole.push(id),
            false => removed.push(id),
        }
    }
    if current.is_some() {
        whole.sort_unstable_by(|a, b| b.cmp(a));
        removed.extend(whole.split_off(keep.saturating_sub(kept).min(whole.len())));
    }
    for id in &removed {
        remove(store, id)?;
    }
    Ok(removed)
}

fn list(store: &Store) -> Result<Vec<String>, Error> {
    let dir = store.generations_dir();
    durable::create_dir(&dir)?;
    fs::read_dir(&dir)
        .at(&dir)?
        .map(|entry| Ok(entry.at(&dir)?.file_name().to_string_lossy().into_owned()))
        .collect()
}

fn remove(store: &Store, id: &str) -> Result<(), Error> {
    let dir = store.generation_dir(id)?;
    let manifest = dir.join(manifest::FILE);
    if manifest.exists() {
        fs::remove_file(&manifest).at(&manifest)?;
        durable::sync(&dir)?;
    }
    fs::remove_dir_all(&dir).at(&dir)
}
