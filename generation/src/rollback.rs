//! Lets a generation that is in the store serve again.

use crate::{
    error::Error,
    open,
    pointer::{Current, Pointer as _},
    store::Store,
};

/// Makes `to` serve, or the previous generation if nothing is named; the one that serves becomes the previous.
///
/// Every byte of it is hashed first, so that nobody goes back to a generation that is broken.
///
/// # Errors
/// [`Error::Missing`] if there is no previous generation, no generation of that name or not its artifact;
/// [`Error::Mismatch`] if it serves already or a file is not what was published; [`Error::Conflict`] if another
/// writer swapped CURRENT meanwhile. What serves is then as it was.
pub async fn roll_back(store: &Store, to: Option<&str>) -> Result<Current, Error> {
    let missing = |what| Error::Missing {
        what,
        name: Current::NAME.to_owned(),
    };
    let current = store
        .current()
        .await?
        .ok_or_else(|| missing("the pointer"))?;
    let serving = current.value.serving;
    let target = match to {
        Some(id) => id.to_owned(),
        None => current
            .value
            .previous
            .ok_or_else(|| missing("a previous generation in"))?,
    };
    if target == serving {
        return Err(Error::mismatch(
            Current::NAME,
            "the generation to go back to",
            target,
            "one that does not serve already",
        ));
    }
    let generation = open::open(store, &target).await?;
    if !store.artifact_dir(&generation.manifest.space)?.is_dir() {
        return Err(Error::Missing {
            what: "artifact",
            name: generation.manifest.space,
        });
    }
    tokio::task::spawn_blocking(move || {
        let mut files = generation.manifest.files.keys();
        files.try_for_each(|file| generation.file(file).map(drop))
    })
    .await??;
    let new = Current {
        serving: target,
        previous: Some(serving),
    };
    store.swap_current(Some(&current.version), &new).await?;
    Ok(new)
}
