//! Why a dataset could not be read, written or made.

use std::path::PathBuf;

use crate::dataset::bad_lines::BadLines;

/// What can go wrong with a dataset.
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
    /// A file that must be whole has a line that cannot be read.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// `dataset.toml` cannot be understood, or a table is not as it says.
    #[error("{}: {reason}", path.display())]
    Description {
        /// The description or the table.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// More lines than allowed could not be used.
    #[error("more than {:.2} % of {lines} lines cannot be used: {bad}", allowed * 100.0)]
    TooManyBadLines {
        /// The lines, the first of them with their reasons.
        bad: BadLines,
        /// Lines read in all.
        lines: u64,
        /// The share that is allowed.
        allowed: f64,
    },
    /// A directory holds no prepared dataset.
    #[error("{} has no dataset.json: make one with `onnx data`", .0.display())]
    NotPrepared(PathBuf),
    /// The prepared files are not those that were written.
    #[error("{}: content has hash {found}, dataset.json says {expected}", path.display())]
    Hash {
        /// The directory.
        path: PathBuf,
        /// Hash of the files.
        found: String,
        /// Hash in `dataset.json`.
        expected: String,
    },
    /// A value cannot stand on a line of a vocabulary.
    #[error("{}: {value:?} breaks the line, or reads as a reserved one", path.display())]
    Unwritable {
        /// The vocabulary.
        path: PathBuf,
        /// The value.
        value: String,
    },
    /// Nothing is left to learn from.
    #[error("{}: no {what} could be read", path.display())]
    Empty {
        /// Where from.
        path: PathBuf,
        /// `users`, `items` or `events`.
        what: &'static str,
    },
}

impl Error {
    /// Returns a function that names `path` in an I/O error.
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }
}
