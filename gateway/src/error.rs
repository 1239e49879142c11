//! What can go wrong in a gateway, as callers see it.

use std::time::Duration;

use service::status;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tracing::error;

use crate::failure::{Failure, is_fault};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A field of the request is out of its bounds.
    #[error("{field}: {description}")]
    Field {
        /// The field's path in the request.
        field: String,
        /// What it has and what it may have.
        description: String,
    },
    /// As many recalls are under way as the servers can do at once.
    #[error("{under_way} recalls are under way, at most {limit} can be answered at once")]
    Overloaded {
        /// Those under way.
        under_way: usize,
        /// How many may be.
        limit: usize,
        /// How long one of them takes.
        again: Duration,
    },
    /// No generation is held by the towers yet.
    #[error("no generation is served yet")]
    NoGeneration,
    /// No item tower holds the generation.
    #[error("generation {asked:?} is not held, held are {held:?}")]
    GenerationNotHeld {
        /// The generation asked for.
        asked: String,
        /// The generations held, newest first.
        held: Vec<String>,
    },
    /// The generation that an answer goes on from is not held any more.
    #[error("generation {generation} is not held any more")]
    GenerationGone {
        /// The generation.
        generation: String,
    },
    /// A member goes by another generation or other MEMBERS than the gateway.
    #[error("{member} goes by another state: {}", .status.message())]
    Stale {
        /// The member.
        member: String,
        /// Its answer.
        status: Status,
    },
    /// The member that must answer cannot be reached.
    #[error("{member} is unreachable: {cause}")]
    Unreachable {
        /// The member, or what was sought of it.
        member: String,
        /// What was tried.
        cause: String,
    },
    /// The member that must answer did not do so in time.
    #[error("{member} did not answer in time")]
    Late {
        /// The member.
        member: String,
    },
    /// A member refused its part of the call.
    #[error("{member} answered {}: {}", .status.code(), .status.message())]
    Refused {
        /// The member.
        member: String,
        /// Its answer.
        status: Status,
    },
    /// A member's answer breaks the contract.
    #[error("{member} gave a malformed answer: {what}")]
    Malformed {
        /// The member.
        member: String,
        /// What it has and what it must have.
        what: String,
    },
    /// A user was embedded into another space than the one to be searched.
    #[error(
        "{member} embedded into space {found:?}, generation {generation} is of space {expected:?}"
    )]
    SpaceMismatch {
        /// The generation.
        generation: String,
        /// Its space.
        expected: String,
        /// The member.
        member: String,
        /// The space of the member's vectors.
        found: String,
    },
    /// Less was searched than the caller needs.
    #[error(
        "coverage is {found:.4}, at least {required} is asked for; {answered} of {total} shards answered"
    )]
    CoverageTooLow {
        /// Searched over eligible.
        found: f64,
        /// What the caller asked for at least.
        required: f64,
        /// Shards that answered.
        answered: u32,
        /// Shards of the generation.
        total: u32,
    },
    /// The members do not hold all of a generation that is to answer.
    #[error("generation {generation} is not held whole by the members")]
    NotWhole {
        /// The generation.
        generation: String,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] generation::error::Error),
    /// A manifest cannot be told.
    #[error("manifest of generation {generation}: {source}")]
    Manifest {
        /// The generation.
        generation: String,
        /// What serde said.
        source: serde_json::Error,
    },
}

impl Error {
    /// The error of a field out of its bounds.
    pub(crate) fn field(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::Field {
            field: field.into(),
            description: description.into(),
        }
    }

    /// The error of a call that `member` had to answer.
    pub(crate) fn of(member: &str, failure: Failure) -> Self {
        let member = member.to_owned();
        let is_stale = failure.is_stale();
        match failure {
            Failure::Unreachable(cause) => Self::Unreachable { member, cause },
            Failure::Late => Self::Late { member },
            Failure::Refused(status) if is_stale => Self::Stale { member, status },
            Failure::Refused(status) => Self::Refused { member, status },
            Failure::Malformed(what) => Self::Malformed { member, what },
        }
    }

    /// Whether a fresh look at the members may help.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, Self::Stale { .. })
    }

    /// Whether the member gave no answer, or said that it cannot give one now.
    pub(crate) fn is_unanswered(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Late { .. } => true,
            // An embedding that would come too late for the recall is as one that came too late.
            Self::Refused { status, .. } => {
                status.code() == Code::Unavailable
                    || status::reason(status).as_deref() == Some(status::OVERLOADED)
            }
            _ => false,
        }
    }

    /// Where a member refused fields, calls them by the names that the gateway's caller gave them.
    pub(crate) fn rename_fields(self, rename: impl Fn(&str) -> String) -> Self {
        let Self::Refused { member, status } = self else {
            return self;
        };
        let named = status.get_details_bad_request();
        let status = named.map_or(status, |named| {
            let violations = named.field_violations.into_iter();
            let renamed = violations.map(|found| (rename(&found.field), found.description));
            status::violations(renamed.collect())
        });
        Self::Refused { member, status }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Field { field, description } => status::invalid(field, description),
            Error::Overloaded { again, .. } => status::overloaded(again, message),
            Error::NoGeneration => status::unavailable(status::NO_GENERATION, message),
            Error::GenerationNotHeld { .. } => {
                status::failed_precondition(status::GENERATION_NOT_HELD, message)
            }
            Error::GenerationGone { .. } => {
                status::failed_precondition(status::GENERATION_GONE, message)
            }
            Error::Unreachable { .. } => status::unavailable(status::MEMBER_UNREACHABLE, message),
            Error::Late { .. } => status::deadline_exceeded(message),
            Error::CoverageTooLow { .. } => status::unavailable(status::COVERAGE_TOO_LOW, message),
            Error::SpaceMismatch { .. } => {
                status::failed_precondition(status::SPACE_MISMATCH, message)
            }
            Error::NotWhole { .. } => {
                status::failed_precondition(status::GENERATION_NOT_HELD, message)
            }
            Error::Store(cause) => refused_by_store(&cause, message),
            Error::Stale { status, .. } => pass_on(&status),
            Error::Refused { status, .. } if !is_fault(status.code()) => pass_on(&status),
            Error::Refused { .. } | Error::Malformed { .. } | Error::Manifest { .. } => {
                error!(cause = message, "call failed");
                status::internal()
            }
        }
    }
}

/// What the store says of CURRENT.
fn refused_by_store(cause: &generation::error::Error, message: String) -> Status {
    use generation::error::Error as Cause;
    match cause {
        Cause::NothingServes => status::unavailable(status::NO_GENERATION, message),
        Cause::NoPrevious { .. } | Cause::Missing { .. } => {
            status::failed_precondition(status::GENERATION_UNKNOWN, message)
        }
        Cause::Name { .. } => status::invalid("generation", message),
        Cause::Conflict { .. } => {
            status::with_reason(Code::Aborted, status::POINTER_CHANGED, message)
        }
        _ => {
            error!(cause = message, "the store failed");
            status::unavailable(
                status::STORE_FAILED,
                "the store failed; see the server's log",
            )
        }
    }
}

/// A member's status without the headers that it came with.
fn pass_on(status: &Status) -> Status {
    Status::with_details(
        status.code(),
        status.message(),
        status.details().to_vec().into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_too_long_for_a_member_is_no_fault_of_the_caller() {
        let refused = Failure::Refused(Status::out_of_range("message length too large"));
        let seen = Status::from(Error::of("a member", refused));
        assert_eq!(seen.code(), Code::Internal);
        assert_eq!(seen.message(), status::internal().message());
    }
}
