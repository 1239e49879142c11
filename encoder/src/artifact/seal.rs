//! Seals a directory: lists and hashes the files that are there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    artifact::{
        LISTING, REPORT,
        listing::{FileEntry, Listing, check_name},
    },
    error::Error,
};

/// Writes `artifact.json` over the files of a directory, and returns the embedding space that they make.
///
/// Hidden files (whose names begin with a dot) are left out; links are refused.
///
/// # Errors
/// [`Error`] naming the file that cannot be read, or whose name no artifact may have.
pub fn seal(dir: &Path, producer: &str) -> Result<String, Error> {
    let mut files = BTreeMap::new();
    collect(dir, "", &mut files)?;
    files.remove(LISTING);
    let report = files.remove(REPORT);
    for name in files.keys() {
        check_name(name)?;
    }
    let listing = Listing::new(producer, files, report);
    let mut json = serde_json::to_vec_pretty(&listing).map_err(|cause| Error::Content {
        path: dir.join(LISTING),
        problem: cause.to_string(),
    })?;
    json.push(b'\n');
    let draft = dir.join(".artifact.json");
    fs::write(&draft, json).map_err(at(&draft))?;
    fs::rename(&draft, dir.join(LISTING)).map_err(at(&draft))?;
    Ok(listing.space)
}

/// Adds the files of `dir` to `files`, their names behind `prefix`.
fn collect(dir: &Path, prefix: &str, files: &mut BTreeMap<String, FileEntry>) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let entry = entry.map_err(at(dir))?;
        let path = entry.path();
        let file_name = entry.file_name();
        let name = file_name.to_str().ok_or_else(|| Error::Name {
            name: file_name.to_string_lossy().into_owned(),
        })?;
        if name.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(at(&path))?;
        if kind.is_dir() {
            collect(&path, &format!("{name}/"), files)?;
        } else if kind.is_file() {
            files.insert(name, hash(&path)?);
        } else {
            return Err(Error::Name { name });
        }
    }
    Ok(())
}

fn hash(path: &Path) -> Result<FileEntry, Error> {
    let mut hasher = blake3::Hasher::new();
    let file = fs::File::open(path).map_err(at(path))?;
    hasher.update_reader(file).map_err(at(path))?;
    Ok(FileEntry {
        bytes: hasher.count(),
        blake3: hasher.finalize().to_hex().to_string(),
    })
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path: PathBuf = path.to_owned();
    move |source| Error::File { path, source }
}
