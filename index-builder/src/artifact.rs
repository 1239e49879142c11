//! Chooses and opens the artifact to embed with.

use std::sync::Arc;

use encoder::artifact::Artifact;
use generation::store::Store;
use tokio::task;

use crate::error::Error;

/// Opens the artifact `space` of the store; empty means the only one there is.
///
/// Never the newest: which file is newest says nothing about which model shall serve.
///
/// # Errors
/// [`Error::Artifact`] if `space` is empty and there is none or more than one, or the error of
/// an artifact that cannot be opened.
pub(crate) async fn open(store: &Store, space: &str) -> Result<Arc<Artifact>, Error> {
    let space = match space {
        "" => only(store.artifacts().await?)?,
        space => space.to_owned(),
    };
    let dir = store.fetch_artifact(&space).await?;
    let artifact = task::spawn_blocking(move || Artifact::open(&dir)).await??;
    Ok(Arc::new(artifact))
}

fn only(mut found: Vec<String>) -> Result<String, Error> {
    match found.pop() {
        Some(space) if found.is_empty() => Ok(space),
        last => {
            found.extend(last);
            Err(Error::Artifact { found })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_artifact_needs_no_name_and_more_do() {
        let spaces = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert!(only(spaces(&["a"])).is_ok_and(|space| space == "a"));
        assert!(only(spaces(&[])).is_err());
        let cause = only(spaces(&["a", "b"])).map_err(|cause| cause.to_string());
        assert!(cause.is_err_and(|cause| cause.ends_with("has 2: a, b")));
    }
}
