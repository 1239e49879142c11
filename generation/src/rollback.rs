//! Lets a generation that is in the store serve again.

use crate::{
    artifacts, claims,
    error::Error,
    open::{self, Generation},
    pointer::{Current, Pointer as _, Versioned},
    store::Store,
    swap,
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
    store
        .blocking(move |store| serve(&store, &current, &generation))
        .await
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

/// Hashes the generation, then swaps CURRENT while nobody collects: what is gone by then is missing.
fn serve(
    store: &Store,
    current: &Versioned<Current>,
    generation: &Generation,
) -> Result<Current, Error> {
    let manifest = &generation.manifest;
    let mut files = manifest.files.keys();
    files.try_for_each(|file| generation.file(file).map(drop))?;

    let _lock = store.lock()?;
    claims::serving(store, [manifest.id.as_str()], || {
        if !store.is_published(&manifest.id)? {
            return Err(Error::Missing {
                what: "generation",
                name: manifest.id.clone(),
            });
        }
        if !artifacts::has(store, &manifest.space)? {
            return Err(artifacts::missing(&manifest.space));
        }
        let new = Current {
            serving: manifest.id.clone(),
            previous: Some(current.value.serving.clone()),
        };
        swap::swap(store, Some(&current.version), &new)?;
        Ok(new)
    })
}
