//! Why a member gave no answer.

use service::status;
use tokio::time::Instant;
use tonic::{Code, Status};

/// Why a member gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The member cannot be reached.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The member did not answer in time.
    #[error("no answer in time")]
    Late,
    /// The member answered with an error.
    #[error("{}: {}", .0.code(), .0.message())]
    Refused(Status),
    /// The member's answer breaks the contract.
    #[error("malformed answer: {0}")]
    Malformed(String),
}

impl Failure {
    /// What a failed call means that had time until `until`.
    ///
    /// Errors made on this side of the wire say that the member cannot be reached; so does UNAVAILABLE without a reason
    /// of the house, as a proxy answers.
    pub(crate) fn of(status: Status, until: Instant) -> Self {
        let local = std::error::Error::source(&status).is_some();
        let code = status.code();
        if code == Code::DeadlineExceeded || Instant::now() >= until {
            Self::Late
        } else if local || code == Code::Unavailable && status::reason(&status).is_none() {
            Self::Unreachable(status.message().to_owned())
        } else {
            Self::Refused(status)
        }
    }

    /// Whether the member gave no answer at all, or said that it cannot give one now.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Late) || self.may_try_another()
    }

    /// Whether another member that holds the same may answer instead.
    pub(crate) fn may_try_another(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(status) => status.code() == Code::Unavailable,
            _ => false,
        }
    }
}
