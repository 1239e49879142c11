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

    /// Whether the member says that the caller goes by an old generation or old MEMBERS.
    pub(crate) fn is_stale(&self) -> bool {
        let reasons = [
            status::GENERATION_NOT_HELD,
            status::GENERATION_UNKNOWN,
            status::NO_GENERATION,
            status::MEMBERS_EPOCH,
            status::FOREIGN_USER,
        ];
        match self {
            Self::Refused(status) => {
                status::reason(status).is_some_and(|reason| reasons.contains(&reason.as_str()))
            }
            _ => false,
        }
    }

    /// Whether the member, or the call to it, is broken.
    pub(crate) fn is_fault(&self) -> bool {
        match self {
            Self::Refused(status) => is_fault(status.code()),
            Self::Malformed(_) => true,
            Self::Unreachable(_) | Self::Late => false,
        }
    }

    /// Whether another member that holds the same may answer instead.
    pub(crate) fn may_try_another(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(status) if status.code() == Code::Unavailable => true,
            failure => failure.is_fault(),
        }
    }
}

/// Whether the code says that a member or the call to it is broken, which is no matter of the caller's; OUT_OF_RANGE is
/// what tonic makes of a message that is too long.
pub(crate) fn is_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::Internal
            | Code::Unimplemented
            | Code::DataLoss
            | Code::OutOfRange
            | Code::Ok
    )
}
