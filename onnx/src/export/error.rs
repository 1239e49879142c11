//! Why a trained model was not exported, or a directory not adopted.

use std::{io, path::PathBuf};

/// Why no artifact came of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The run directory cannot be read, or the trainer failed on the parity check.
    #[error(transparent)]
    Model(#[from] crate::model::error::Error),
    /// The model lacks a parameter that its recipe needs.
    #[error("the run has no parameter {name}")]
    Parameter {
        /// Its name.
        name: String,
    },
    /// candle refused an operation.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The artifact cannot be written, opened or run.
    #[error(transparent)]
    Encoder(#[from] encoder::error::Error),
    /// ONNX Runtime and the trainer differ.
    #[error(
        "the {tower} tower is {found} in ONNX Runtime and {expected} in the trainer, at {place}: more than {tolerance} apart"
    )]
    Parity {
        /// `user` or `item`.
        tower: &'static str,
        /// Which row, and which number of it.
        place: String,
        /// What ONNX Runtime gives.
        found: f32,
        /// What the trainer gives.
        expected: f32,
        /// The most that is accepted.
        tolerance: f32,
    },
    /// A directory cannot be served.
    #[error("{} cannot be served:\n  {}", .dir.display(), .findings.join("\n  "))]
    Unservable {
        /// The directory.
        dir: PathBuf,
        /// What is wrong, one line each.
        findings: Vec<String>,
    },
    /// The artifact would take the place of something else.
    #[error("{} is neither empty nor an artifact", .dir.display())]
    Occupied {
        /// The directory.
        dir: PathBuf,
    },
    /// Evaluation failed.
    #[error(transparent)]
    Evaluate(#[from] crate::evaluate::Error),
    /// The store refused the artifact.
    #[error(transparent)]
    Store(#[from] generation::error::Error),
    /// A file cannot be written.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// Returns a function that names `path` in an I/O error.
    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
