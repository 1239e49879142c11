//! Why the bench could not go on.

use std::path::{Path, PathBuf};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The list of rows does not hold together.
    #[error("the list of rows: {0}")]
    Plan(String),
    /// A row could not be made.
    #[error("row {row}: {source}")]
    Row {
        /// The row.
        row: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The dataset cannot be read.
    #[error(transparent)]
    Data(#[from] crate::dataset::error::Error),
    /// A recipe cannot be read.
    #[error(transparent)]
    Model(#[from] crate::model::error::Error),
}

impl Error {
    /// Returns a function that names `path` in an I/O error.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    /// Returns a function that names `path` in what a parser said.
    pub(crate) fn file<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_path_buf();
        move |reason| Self::File {
            path,
            reason: reason.to_string(),
        }
    }

    /// Returns a function that names the row in what failed.
    pub(crate) fn row<E: std::error::Error + Send + Sync + 'static>(
        row: &str,
    ) -> impl FnOnce(E) -> Self {
        let row = row.to_owned();
        move |source| Self::Row {
            row,
            source: Box::new(source),
        }
    }
}
