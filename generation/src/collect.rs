//! Removes the generations that CURRENT no longer names, with the deltas that all others hold.

use std::{fs, time::Duration};

use crate::{
    bucket::Bucket,
    claims::{self, Claim, Purpose},
    deltas, durable,
    error::{AtPath as _, Error},
    manifest, open,
    pointer::Current,
    store::Store,
    swap,
};

/// How long a delta stays whatever holds it: a writer or a reader may be behind.
const GRACE: Duration = Duration::from_secs(3600);

/// Removes all but `keep` generations, those that CURRENT names and the newest others; returns the ids removed.
///
/// What CURRENT names stays, even if that is more. While there is no CURRENT, only what is half removed goes.
///
/// Only unlinks: who has a file mapped keeps it whole. The manifest goes first, so that a
/// generation half removed is none, and the next collection finishes it. In a bucket the same files without a manifest
/// may be those of a builder at work: they go when the newest of them is more than a day old.
///
/// Deltas of the catalog go, too, an hour after they came, once every generation that is left holds them, and so does the
/// catalog that each was made of.
///
/// # Errors
/// If the store cannot be read or a file cannot be removed.
pub async fn collect(store: &Store, keep: usize) -> Result<Vec<String>, Error> {
    let removed = store
        .blocking(move |store| {
            let _lock = store.lock()?;
            let old = old(&store, keep)?;
            match store.bucket() {
                Some(bucket) => remove_from(&store, bucket, old),
                None => remove(&store, old),
            }
        })
        .await?;
    let mut held = None;
    for id in store.generations().await? {
        // A generation that cannot be read may need every delta.
        let opened = open::open(store, &id).await;
        let from = opened.map_or(0, |opened| opened.manifest.needs_after());
        held = Some(held.map_or(from, |least: u64| least.min(from)));
    }
    deltas::remove(store, held.unwrap_or(0), GRACE).await?;
    Ok(removed)
}

/// Finds what to remove: generations that are not to be kept, and what is left of others.
fn old(store: &Store, keep: usize) -> Result<Vec<String>, Error> {
    let current = swap::read::<Current>(store)?.map(|current| current.value);
    let (mut kept, mut whole, mut old) = (0, Vec::new(), Vec::new());
    for id in store.directories("generations")? {
        match store.is_published(&id)? {
            _ if names(current.as_ref(), &id) => kept += 1,
            true => whole.push(id),
            false if is_dead(store, &id)? => old.push(id),
            false => {}
        }
    }
    if current.is_some() {
        whole.reverse();
        old.extend(whole.split_off(keep.saturating_sub(kept).min(whole.len())));
    }
    Ok(old)
}

fn names(current: Option<&Current>, id: &str) -> bool {
    let named = current.into_iter().flat_map(Current::generations);
    named.into_iter().any(|named| named == id)
}

/// Whether nobody is at work on a generation without a manifest. In a directory it is moved in with one.
fn is_dead(store: &Store, id: &str) -> Result<bool, Error> {
    let Some(bucket) = store.bucket() else {
        return Ok(true);
    };
    let newest = bucket.newest(&format!("generations/{id}"))?;
    Ok(newest.is_some_and(|age| age >= claims::DEAD))
}

/// Removes directories; the caller holds the lock.
fn remove(store: &Store, ids: Vec<String>) -> Result<Vec<String>, Error> {
    for id in &ids {
        let dir = store.generation_dir(id)?;
        let manifest = dir.join(manifest::FILE);
        if manifest.exists() {
            fs::remove_file(&manifest).at(&manifest)?;
            durable::sync(&dir)?;
        }
        fs::remove_dir_all(&dir).at(&dir)?;
    }
    Ok(ids)
}

/// Removes objects, but of no generation that somebody lets serve meanwhile.
fn remove_from(store: &Store, bucket: &Bucket, ids: Vec<String>) -> Result<Vec<String>, Error> {
    let mut removed = Vec::new();
    for id in ids {
        let Some(_claim) = Claim::put(bucket, &id, Purpose::Remove)? else {
            continue;
        };
        let current = swap::read::<Current>(store)?.map(|current| current.value);
        if !names(current.as_ref(), &id) {
            bucket.remove(&manifest::object(&id))?;
            bucket.remove_below(&format!("generations/{id}"))?;
            removed.push(id);
        }
    }
    claims::tidy(bucket)?;
    Ok(removed)
}
