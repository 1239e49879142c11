//! The listing of an artifact's files (`artifact.json`), and the name that it makes.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    artifact::{LISTING, MIB, REPORT, SIGNATURE, parse, read},
    error::Error,
};

/// The version of `artifact.json` that this code reads.
const FORMAT: u32 = 1;
const MAX_FILES: usize = 4_096;

/// `artifact.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// The version of this file.
    pub format: u32,
    /// The embedding space: the artifact's name.
    pub space: String,
    /// What made the artifact.
    pub producer: String,
    /// Every file by its path in the artifact, except this one and the report.
    pub files: BTreeMap<String, FileEntry>,
    /// `report.json`, which is no part of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<FileEntry>,
}

/// What a file must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its size.
    pub bytes: u64,
    /// The hash of its content, 64 hex digits.
    pub blake3: String,
}

impl Listing {
    /// Lists `files`, and names them.
    pub(crate) fn new(
        producer: &str,
        files: BTreeMap<String, FileEntry>,
        report: Option<FileEntry>,
    ) -> Self {
        Self {
            format: FORMAT,
            space: space(&files),
            producer: producer.to_owned(),
            files,
            report,
        }
    }

    /// Reads the listing of a directory.
    ///
    /// # Errors
    /// [`Error`] if it is of another version, lists a name that leaves the directory, or carries another name than the
    /// one it makes.
    pub(crate) fn read(dir: &Path) -> Result<Self, Error> {
        let listing: Self = parse(dir, LISTING, &read::unlisted(dir, LISTING, MIB)?)?;
        let refuse = |problem: String| Error::Content {
            path: dir.join(LISTING),
            problem,
        };
        if listing.format != FORMAT {
            return Err(refuse(format!(
                "format is {}, this program reads {FORMAT}",
                listing.format
            )));
        }
        if listing.files.len() > MAX_FILES {
            return Err(refuse(format!(
                "{} files, at most {MAX_FILES} may be",
                listing.files.len()
            )));
        }
        for name in listing.files.keys() {
            check_name(name)?;
        }
        if !listing.files.contains_key(SIGNATURE) {
            return Err(Error::Unlisted {
                dir: dir.to_owned(),
                name: SIGNATURE.to_owned(),
            });
        }
        let found = space(&listing.files);
        if found != listing.space {
            return Err(Error::Space {
                path: dir.join(LISTING),
                found,
                expected: listing.space,
            });
        }
        Ok(listing)
    }

    /// Returns what `name` must be.
    pub(crate) fn entry(&self, name: &str) -> Option<&FileEntry> {
        if name == REPORT {
            self.report.as_ref()
        } else {
            self.files.get(name)
        }
    }

    /// Returns every file, the report last.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &FileEntry)> {
        let files = self
            .files
            .iter()
            .map(|(name, entry)| (name.as_str(), entry));
        files.chain(self.report.as_ref().map(|entry| (REPORT, entry)))
    }
}

/// Names a set of files: the first 16 bytes of the blake3 over `<blake3>  <bytes>  <name>\n`, ascending by name.
fn space(files: &BTreeMap<String, FileEntry>) -> String {
    let mut lines = String::new();
    for (name, entry) in files {
        let _ = writeln!(lines, "{}  {}  {name}", entry.blake3, entry.bytes);
    }
    blake3::hash(lines.as_bytes()).to_hex()[..32].to_owned()
}

/// Refuses a name that is not a plain path downwards.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    if name.len() <= 255 && name.split('/').all(plain) && name != LISTING && name != REPORT {
        Ok(())
    } else {
        Err(Error::Name {
            name: name.chars().take(255).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_path_downwards_are_refused() {
        assert!(check_name("vocabulary/item.id.txt").is_ok());
        let long = "a".repeat(4_096);
        for name in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "a\0b",
            "a\\b",
            "C:x",
            ".hidden",
            "artifact.json",
            &long,
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_name_depends_on_every_field_of_every_file() {
        let file = |name: &str, bytes: u64, hash: &str| {
            let entry = FileEntry {
                bytes,
                blake3: hash.to_owned(),
            };
            (name.to_owned(), entry)
        };
        let names: std::collections::BTreeSet<String> = [
            space(&BTreeMap::from([file("a", 1, "x")])),
            space(&BTreeMap::from([file("b", 1, "x")])),
            space(&BTreeMap::from([file("a", 2, "x")])),
            space(&BTreeMap::from([file("a", 1, "y")])),
            space(&BTreeMap::from([file("a", 1, "x"), file("b", 1, "x")])),
        ]
        .into();
        assert_eq!(names.len(), 5);
        assert!(names.iter().all(|name| name.len() == 32));
    }
}
