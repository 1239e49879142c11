//! Takes in an artifact that somebody else made.

use std::{fs, path::Path};

use encoder::artifact;
use generation::store::Store;

use crate::{
    check,
    dataset::Dataset,
    evaluate::Evaluation,
    export::{self, error::Error},
};

/// Seals a copy of a directory, checks it, evaluates it if there is data, and puts it in the store; returns its space.
///
/// The directory itself is left as it is.
///
/// # Errors
/// [`Error::Unservable`] with everything that is wrong; the store is then as it was.
pub async fn adopt(
    dir: &Path,
    producer: &str,
    store: &Store,
    data: Option<&Dataset>,
) -> Result<(String, Option<Evaluation>), Error> {
    let draft = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir()))?;
    copy(dir, draft.path())?;
    let space = artifact::seal(draft.path(), producer)?;
    check::servable(draft.path(), dir)?;
    let evaluation = export::evaluated(draft.path(), data)?;
    store.put_artifact(draft.path(), &space).await?;
    Ok((space, evaluation))
}

/// Copies a directory's files; what links point at stays behind, so that nothing comes from outside.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(from).map_err(Error::file(from))? {
        let entry = entry.map_err(Error::file(from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(Error::file(&path))?;
        if kind.is_dir() {
            fs::create_dir(&target).map_err(Error::file(&target))?;
            copy(&path, &target)?;
        } else if kind.is_file() {
            fs::copy(&path, &target).map_err(Error::file(&path))?;
        } else {
            let name = path.display().to_string();
            return Err(encoder::error::Error::Name { name }.into());
        }
    }
    Ok(())
}
