//! Why a model could not be made, trained, saved or loaded.

use std::path::{Path, PathBuf};

use crate::dataset::split::ItemSet;

/// What can go wrong with a model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the run could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the run is not what it should be.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A recipe cannot be used.
    #[error("recipe: {0}")]
    Recipe(String),
    /// The data leaves nothing to learn from.
    #[error("{name} has {events} events on {items} items of set {set:?}: too few to train on")]
    TooFew {
        /// The dataset.
        name: String,
        /// Events that take part.
        events: usize,
        /// Items that take part.
        items: usize,
        /// The item set of the recipe.
        set: ItemSet,
    },
    /// A run cannot be resumed with another recipe or other data.
    #[error("{} was begun with {what} {found}, not with {expected}", run.display())]
    Resume {
        /// The run directory.
        run: PathBuf,
        /// `dataset` or `recipe`.
        what: &'static str,
        /// What the checkpoint holds.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// The loss is no number any more.
    #[error("the loss is {loss} in epoch {epoch}: try a lower learning rate")]
    Diverged {
        /// The loss of the step.
        loss: f32,
        /// Counted from 1.
        epoch: usize,
    },
    /// candle refused an operation.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
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
}
