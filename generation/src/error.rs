//! What can go wrong with a store, a manifest or a file of a generation.

use std::{io, path::PathBuf};

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused a file or directory.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A bucket's server refused a request, or did not answer in time.
    #[error("{name}: {}", chain(source))]
    Object {
        /// The object.
        name: String,
        /// The cause.
        source: object_store::Error,
    },
    /// A name could leave its directory, or is not one this store would have given.
    #[error("{what} {name:?} is not a name: {rule}")]
    Name {
        /// What was to be named.
        what: &'static str,
        /// The name, cut to 80 characters.
        name: String,
        /// What a name must be.
        rule: &'static str,
    },
    /// A JSON file does not hold what it must.
    #[error("{name}: {source}")]
    Json {
        /// The file.
        name: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// Something disagrees inside one file or between a file and its manifest.
    #[error("{name}: {what} is {found}, expected {expected}")]
    Mismatch {
        /// The file.
        name: String,
        /// What disagrees.
        what: &'static str,
        /// The value found.
        found: String,
        /// The value expected.
        expected: String,
    },
    /// Another writer swapped the pointer first.
    #[error("{name} was changed by another writer: it is at version {found}, expected {expected}")]
    Conflict {
        /// CURRENT or MEMBERS, or the listing of an artifact.
        name: &'static str,
        /// The version found.
        found: String,
        /// The version the caller went by.
        expected: String,
    },
    /// No generation was ever published.
    #[error("the store has no CURRENT: nothing serves")]
    NothingServes,
    /// There is nothing to go back to.
    #[error("CURRENT names {serving} and no previous generation")]
    NoPrevious {
        /// The generation that serves.
        serving: String,
    },
    /// The store has no such artifact, generation or file.
    #[error("{what} {name} is not in the store")]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The catalog's log goes on where a delta is missing.
    #[error("the catalog's log ends with delta {end} and goes on with {after}")]
    Hole {
        /// The last before the hole.
        end: u64,
        /// The first after it.
        after: u64,
    },
    /// An item id is not greater than the one before it.
    #[error("row {row} has item id {id}, which is not greater than {previous} of the row before")]
    Order {
        /// The row.
        row: usize,
        /// Its id.
        id: u64,
        /// The id of the row before.
        previous: u64,
    },
    /// A blocking task of the runtime did not finish.
    #[error("a blocking task did not finish: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    /// An [`Error::Mismatch`] with both values as text.
    pub(crate) fn mismatch(
        name: impl Into<String>,
        what: &'static str,
        found: impl ToString,
        expected: impl ToString,
    ) -> Self {
        Self::Mismatch {
            name: name.into(),
            what,
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }
}

/// An error in words, down to its last cause: only that says why a server cannot be reached.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

/// Attaches the path to an operating system error.
pub(crate) trait AtPath<T> {
    /// Names `path` in the error.
    fn at(self, path: impl Into<PathBuf>) -> Result<T, Error>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, path: impl Into<PathBuf>) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            path: path.into(),
            source,
        })
    }
}
