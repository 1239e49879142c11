//! What can go wrong in a user tower, as callers see it.

use std::time::Duration;

use encoder::error::Misfit;
use service::status;
use tonic::Status;
use tracing::error;

/// How long a shed caller is asked to wait: a few commits or inferences.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Fields of the request are out of their bounds.
    #[error("{}", .0.iter().map(|(field, what)| format!("{field}: {what}")).collect::<Vec<_>>().join("; "))]
    Fields(Vec<(String, String)>),
    /// Another member owns the user.
    #[error("user {user:?} is owned by {owner}, this is {member} (members epoch {epoch})")]
    ForeignUser {
        /// The user.
        user: String,
        /// The member that owns the user.
        owner: String,
        /// This member.
        member: String,
        /// The epoch of the MEMBERS gone by.
        epoch: u64,
    },
    /// The caller went by other MEMBERS.
    #[error("the call goes by members epoch {asked}, this member by epoch {held}")]
    MembersEpoch {
        /// The caller's epoch.
        asked: u64,
        /// This member's epoch.
        held: u64,
    },
    /// Users are being handed over to this member.
    #[error(
        "users are being handed over to this member, nothing is forgotten until they are settled"
    )]
    Receiving,
    /// The user's history is not known any more as it was.
    #[error("what user {user:?} had done by then is not known any more")]
    HistoryGone {
        /// The user.
        user: String,
    },
    /// CURRENT names no generation, or no model of one is loaded yet.
    #[error("no generation is served yet")]
    NoGeneration,
    /// The generation's model is not held here.
    #[error("generation {asked:?} is not held, held are {held:?}")]
    GenerationNotHeld {
        /// The generation asked for.
        asked: String,
        /// The generations held, newest first.
        held: Vec<String>,
    },
    /// There is no model of this name.
    #[error("there is no model {asked:?}, there is {held:?}")]
    ModelUnknown {
        /// The name asked for.
        asked: String,
        /// The name of the one there is.
        held: &'static str,
    },
    /// The model has no such version.
    #[error("the model has no version {asked:?}, held are {held:?}")]
    VersionUnknown {
        /// The version asked for.
        asked: String,
        /// The versions held, newest first.
        held: Vec<String>,
    },
    /// The artifact of a generation is not what the manifest says.
    #[error("generation {generation} has dimension {expected}, its artifact's models have {found}")]
    Dimension {
        /// The generation.
        generation: String,
        /// The artifact's dimension.
        found: usize,
        /// The manifest's dimension.
        expected: usize,
    },
    /// The rows of a shard are not those of the manifest.
    #[error(
        "generation {generation}, shard {shard} has {} rows of dimension {}, expected {} of {}",
        .found.0, .found.1, .expected.0, .expected.1
    )]
    Rows {
        /// The generation.
        generation: String,
        /// The shard.
        shard: u32,
        /// How many rows there are, and their dimension.
        found: (u64, usize),
        /// What the manifest says.
        expected: (u64, usize),
    },
    /// The vectors of a delta are not of the generation's length.
    #[error("the vectors of delta {number} have dimension {found}, expected {expected}")]
    Delta {
        /// The delta.
        number: u64,
        /// The dimension of its vectors.
        found: usize,
        /// The generation's dimension.
        expected: usize,
    },
    /// A bounded queue is full.
    #[error("the queue of {limit} {what} is full")]
    QueueFull {
        /// What waits in it.
        what: &'static str,
        /// How many may.
        limit: usize,
    },
    /// So many users wait for an inference that the call would not be answered by its deadline.
    #[error("an answer would take {wait:.1?}, the call has {left:.1?} left")]
    Overloaded {
        /// How long it would take, as predicted.
        wait: Duration,
        /// How much time the call has.
        left: Duration,
    },
    /// The deadline passed while the call waited in a queue.
    #[error("the call's deadline passed while it waited for an inference")]
    Deadline,
    /// The history cannot be read or written now; nothing was acknowledged.
    #[error("the history store failed: {0}")]
    History(String),
    /// Tensors are not what the model takes.
    #[error("{}", .0.iter().map(|misfit| misfit.problem.as_str()).collect::<Vec<_>>().join("; "))]
    Tensors(Vec<Misfit>),
    /// What the model makes of tensors is no number.
    #[error("{0}")]
    NonFinite(String),
    /// The model refused a user.
    #[error("a user could not be embedded")]
    Embedding,
    /// An artifact cannot be served.
    #[error(transparent)]
    Artifact(#[from] encoder::error::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] generation::error::Error),
    /// The pool of blocking work did not finish a task.
    #[error(transparent)]
    Blocking(#[from] service::blocking::Error),
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Fields(violations) => status::violations(violations),
            Error::Tensors(misfits) => {
                status::violations(misfits.into_iter().map(violation).collect())
            }
            Error::NonFinite(problem) => status::invalid("inputs", problem),
            Error::ForeignUser { .. } => status::failed_precondition(status::FOREIGN_USER, message),
            Error::MembersEpoch { .. } | Error::Receiving => {
                status::failed_precondition(status::MEMBERS_EPOCH, message)
            }
            Error::HistoryGone { .. } => status::failed_precondition(status::HISTORY_GONE, message),
            Error::NoGeneration => status::failed_precondition(status::NO_GENERATION, message),
            Error::GenerationNotHeld { .. } => {
                status::failed_precondition(status::GENERATION_NOT_HELD, message)
            }
            Error::ModelUnknown { .. } | Error::VersionUnknown { .. } => {
                status::not_found(status::MODEL_UNKNOWN, message)
            }
            Error::QueueFull { .. } => status::exhausted(RETRY_AFTER, message),
            Error::Overloaded { wait, .. } => status::overloaded(wait, message),
            Error::Deadline => status::deadline_exceeded(message),
            Error::History(_) => {
                error!(cause = message, "call failed");
                status::unavailable(status::STORE_FAILED, "the history store failed")
            }
            Error::Dimension { .. }
            | Error::Rows { .. }
            | Error::Delta { .. }
            | Error::Embedding
            | Error::Artifact(_)
            | Error::Store(_)
            | Error::Blocking(_) => {
                error!(cause = message, "call failed");
                status::internal()
            }
        }
    }
}

/// Names the field of a tensor that does not fit.
fn violation(misfit: Misfit) -> (String, String) {
    let field = misfit.at.map(|at| format!("inputs[{at}]"));
    (field.unwrap_or_else(|| "inputs".to_owned()), misfit.problem)
}
