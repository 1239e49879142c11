//! Decides which of the store's generations answer: one that is promoted, the one before, or a candidate for a share.

use crate::{
    artifacts, claims,
    error::Error,
    open,
    pointer::{Candidate, Current, Pointer as _, Versioned},
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
    let target = previous(&current.value, to)?;
    let generation = open::open(store, &target).await?;
    let hash = move || {
        let mut files = generation.manifest.files.keys();
        files.try_for_each(|file| generation.file(file).map(drop))
    };
    store.blocking(move |_| hash()).await?;
    let new = current.value.followed_by(&target);
    name(store, current, new, target).await
}

/// Makes `generation` serve; the one that serves becomes the previous. What the members hold is hashed already, so this asks only
/// whether it is in the store.
///
/// # Errors
/// As [`roll_back`], but that no file is hashed.
pub async fn promote(store: &Store, generation: &str) -> Result<Current, Error> {
    let current = store.current().await?.ok_or(Error::NothingServes)?;
    let target = previous(&current.value, Some(generation))?;
    let new = current.value.followed_by(&target);
    name(store, current, new, target).await
}

/// Gives a candidate a share of the experiment units, or ends the trial if there is none.
///
/// # Errors
/// As [`promote`], and [`Error::Mismatch`] for a share that is none.
pub async fn set_candidate(store: &Store, candidate: Option<Candidate>) -> Result<Current, Error> {
    let current = store.current().await?.ok_or(Error::NothingServes)?;
    let named = candidate
        .as_ref()
        .map(|candidate| candidate.generation.clone());
    let target = match named {
        Some(named) => previous(&current.value, Some(&named))?,
        None => current.value.serving.clone(),
    };
    let new = Current {
        candidate,
        ..current.value.clone()
    };
    name(store, current, new, target).await
}

fn previous(current: &Current, to: Option<&str>) -> Result<String, Error> {
    let no_previous = || Error::NoPrevious {
        serving: current.serving.clone(),
    };
    let target = to.or(current.previous.as_deref()).ok_or_else(no_previous)?;
    if target == current.serving {
        return Err(Error::mismatch(
            Current::NAME,
            "the generation to be named",
            target,
            "one that does not serve already",
        ));
    }
    Ok(target.to_owned())
}

/// Swaps CURRENT while nobody collects the generation that it comes to name: what is gone by then is missing.
async fn name(
    store: &Store,
    current: Versioned<Current>,
    new: Current,
    target: String,
) -> Result<Current, Error> {
    let manifest = open::open(store, &target).await?.manifest;
    store
        .blocking(move |store| {
            let _lock = store.lock()?;
            claims::serving(&store, [target.as_str()], || {
                if !store.is_published(&target)? {
                    return Err(Error::Missing {
                        what: "generation",
                        name: target.clone(),
                    });
                }
                if !artifacts::has(&store, &manifest.space)? {
                    return Err(artifacts::missing(&manifest.space));
                }
                swap::swap(&store, Some(&current.version), &new)
            })?;
            Ok(new)
        })
        .await
}
