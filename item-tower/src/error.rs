//! What can go wrong in an item tower, as callers see it.

use service::status;
use tonic::{Code, Status};
use tracing::error;

/// Why a call or a load failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A field of the request is out of its bounds.
    #[error("{field}: {description}")]
    Field {
        /// The field's path in the request.
        field: &'static str,
        /// What it has and what it may have.
        description: String,
    },
    /// The store has no artifact of that space.
    #[error("artifact {space:?} is not in the store")]
    ArtifactUnknown {
        /// The space asked for.
        space: String,
    },
    /// CURRENT names no generation, or none is loaded yet.
    #[error("no generation is served yet")]
    NoGeneration,
    /// The generation is not held here.
    #[error("generation {asked:?} is not held, held are {held:?}")]
    GenerationNotHeld {
        /// The generation asked for.
        asked: String,
        /// The generations held, newest first.
        held: Vec<String>,
    },
    /// CURRENT names the generation, but it could not be opened.
    #[error("generation {generation} is refused: {cause}")]
    GenerationRefused {
        /// The generation asked for.
        generation: String,
        /// Why it could not be opened.
        cause: String,
    },
    /// The shard is not held here.
    #[error("shard {shard} of generation {generation} is not held, held are {held:?}")]
    ShardNotHeld {
        /// The generation asked for.
        generation: String,
        /// The shard asked for.
        shard: u32,
        /// The shards held of that generation.
        held: Vec<u32>,
    },
    /// The catalog cannot be seen as of a delta.
    #[error(
        "generation {generation} cannot be searched as of delta {asked}, only of {first} to {last}"
    )]
    AsOf {
        /// The generation asked for.
        generation: String,
        /// The delta asked for.
        asked: u64,
        /// The last delta that the generation was made with.
        first: u64,
        /// The last delta taken up.
        last: u64,
    },
    /// Too many items changed since the generation was made.
    #[error("{changed} items changed since generation {generation} was made, at most {limit} may")]
    TailFull {
        /// The generation that serves.
        generation: String,
        /// How many did.
        changed: usize,
        /// How many may.
        limit: usize,
    },
    /// Changes of the catalog could not be put into its log.
    #[error("the catalog's log could not be written: {cause}")]
    NotStored {
        /// Why.
        cause: String,
    },
    /// An item of the catalog's log is not one.
    #[error("item {id} of the catalog's log: {source}")]
    Fresh {
        /// The item.
        id: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The vectors are of another embedding space than the generation.
    #[error("vectors are of space {asked:?}, generation {generation} is of space {held}")]
    SpaceMismatch {
        /// The generation asked for.
        generation: String,
        /// The space of the request's vectors.
        asked: String,
        /// The space of the generation.
        held: String,
    },
    /// A shard does not answer as it must; it is not served.
    #[error(
        "shard {shard} of generation {generation}: row {row} scores {found}, it must score at least {expected}"
    )]
    Golden {
        /// The generation.
        generation: String,
        /// The shard.
        shard: u32,
        /// The row whose vector was the query.
        row: usize,
        /// The best score found.
        found: f32,
        /// The row's score with itself.
        expected: f32,
    },
    /// A shard's rows disagree with the manifest.
    #[error("shard {shard} of generation {generation} has {found}, the manifest says {expected}")]
    Shape {
        /// The generation.
        generation: String,
        /// The shard.
        shard: u32,
        /// Items and dimension of the rows file.
        found: String,
        /// Items and dimension of the manifest.
        expected: String,
    },
    /// A file of a generation holds what it must not.
    #[error("{file} of generation {generation}: {source}")]
    File {
        /// The generation.
        generation: String,
        /// The file.
        file: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A stored item is not one.
    #[error("item {id} of generation {generation}: {source}")]
    Item {
        /// The generation.
        generation: String,
        /// The item.
        id: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A manifest or a signature cannot be told.
    #[error("{what} cannot be written as JSON: {source}")]
    Json {
        /// What was to be told.
        what: &'static str,
        /// What serde said.
        source: serde_json::Error,
    },
    /// An artifact cannot be served, or its model refused a batch.
    #[error(transparent)]
    Artifact(#[from] encoder::error::Error),
    /// The store failed, or a file of a generation is not what its manifest says.
    #[error(transparent)]
    Store(#[from] generation::error::Error),
    /// A shard cannot be opened or searched.
    #[error(transparent)]
    Index(#[from] index::error::Error),
    /// The pool of blocking work did not finish a task.
    #[error(transparent)]
    Blocking(#[from] service::blocking::Error),
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Field { field, description } => status::invalid(field, description),
            Error::ArtifactUnknown { .. } => {
                status::failed_precondition(status::ARTIFACT_UNKNOWN, message)
            }
            Error::NoGeneration => status::failed_precondition(status::NO_GENERATION, message),
            Error::GenerationNotHeld { .. }
            | Error::GenerationRefused { .. }
            | Error::ShardNotHeld { .. } => {
                status::failed_precondition(status::GENERATION_NOT_HELD, message)
            }
            Error::AsOf { .. } => status::failed_precondition(status::DELTA_NOT_HELD, message),
            Error::TailFull { .. } => {
                status::with_reason(Code::ResourceExhausted, status::TAIL_FULL, message)
            }
            Error::NotStored { .. } => {
                error!(cause = message, "changes were refused");
                status::unavailable(status::STORE_FAILED, "the catalog's log cannot be written")
            }
            Error::SpaceMismatch { .. } => {
                status::failed_precondition(status::SPACE_MISMATCH, message)
            }
            Error::Golden { .. }
            | Error::Shape { .. }
            | Error::File { .. }
            | Error::Item { .. }
            | Error::Fresh { .. }
            | Error::Json { .. }
            | Error::Artifact(_)
            | Error::Store(_)
            | Error::Index(_)
            | Error::Blocking(_) => {
                error!(cause = message, "call failed");
                status::internal()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_cause_of_a_fault_is_not_told() {
        let source = serde_json::from_str::<u8>("secret").unwrap_err();
        let what = "the manifest";
        let told = Status::from(Error::Json { what, source });
        assert_eq!(told.message(), status::internal().message());
    }
}
