//! Lets a generation that is in the store serve again.

use tokio::task;

use crate::{
    error::Error,
    manifest,
    open::{self, Generation},
    pointer::{Current, Pointer as _, Versioned},
    store::Store,
};

/// Makes `to` serve, or the previous generation if nothing is named; the one that serves becomes the previous.
///
/// Every file of it is hashed first: nobody goes back to bytes that are not what was published.
///
/// # Errors
/// [`Error::NothingServes`] before the first generation, [`Error::NoPrevious`] if there is none to go back to,
/// [`Error::Missing`] for a generation that is not in the store, or not its artifact; [`Error::Mismatch`] if it serves
/// already or a file is not what was published; [`Error::Conflict`] if another writer swapped CURRENT meanwhile. What
/// serves is then as it was.
pub async fn roll_back(store: &Store, to: Option<&str>) -> Result<Current, Error> {
    let current = store.current().await?.ok_or(Error::NothingServes)?;
    let target = target(&current.value, to)?;
    let generation = open::open(store, &target).await?;
    let store = store.clone();
    task::spawn_blocking(move || swap(&store, &current, &generation)).await?
}

fn target(current: &Current, to: Option<&str>) -> Result<String, Error> {
    let no_previous = || Error::NoPrevious {
        serving: current.serving.clone(),
    };
    let target = to.or(current.previous.as_deref()).ok_or_else(no_previous)?;
    if target == current.serving {
        return Err(Error::mismatch(
            Current::NAME,
            "the generation to go back to",
            target,
            "one that does not serve already",
        ));
    }
    Ok(target.to_owned())
}

/// Hashes the generation, then swaps CURRENT under the lock that collecting takes too: what is gone by then is missing.
fn swap(
    store: &Store,
    current: &Versioned<Current>,
    generation: &Generation,
) -> Result<Current, Error> {
    let manifest = &generation.manifest;
    let mut files = manifest.files.keys();
    files.try_for_each(|file| generation.file(file).map(drop))?;

    let missing = |what, name: &str| Error::Missing {
        what,
        name: name.to_owned(),
    };
    let _lock = store.lock()?;
    let dir = store.generation_dir(&manifest.id)?;
    if !dir.join(manifest::FILE).is_file() {
        return Err(missing("generation", &manifest.id));
    }
    if !store.artifact_dir(&manifest.space)?.is_dir() {
        return Err(missing("artifact", &manifest.space));
    }
    let new = Current {
        serving: manifest.id.clone(),
        previous: Some(current.value.serving.clone()),
    };
    store.swap_locked(Some(&current.version), &new)?;
    Ok(new)
}
