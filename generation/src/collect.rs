//! Removes the generations that CURRENT no longer names, with the deltas that all others hold.

use std::{fs, time::Duration};

use crate::{
    deltas, durable,
    error::{AtPath as _, Error},
    manifest, open,
    pointer::Current,
    store::Store,
};

/// How long a delta stays whatever holds it: a writer or a reader may be behind.
const GRACE: Duration = Duration::from_secs(3600);

/// Removes all but `keep` generations, those that CURRENT names and the newest others; returns the ids removed.
///
/// What CURRENT names stays, even if that is more. While there is no CURRENT, only what is half removed goes.
///
/// Only unlinks: who has a file mapped keeps it whole. The manifest goes first, so that a
/// generation half removed is none, and the next collection finishes it.
///
/// Deltas of the catalog go, too, an hour after they came, once every generation that is left holds them.
///
/// # Errors
/// If the store cannot be read or a file cannot be removed.
pub async fn collect(store: &Store, keep: usize) -> Result<Vec<String>, Error> {
    let now = store.clone();
    let removed = tokio::task::spawn_blocking(move || collect_now(&now, keep)).await??;
    let mut held = None;
    for id in store.generations().await? {
        // A generation that cannot be read may need every delta.
        let opened = open::open(store, &id).await;
        let from = opened.map_or(0, |opened| opened.manifest.updates_from);
        held = Some(held.map_or(from, |least: u64| least.min(from)));
    }
    deltas::remove(store, held.unwrap_or(0), GRACE).await?;
    Ok(removed)
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
