//! Errors as callers see them: a code, a message, and details that programs can switch on.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// The domain of every `google.rpc.ErrorInfo` of the house.
pub const DOMAIN: &str = "twotower";

/// A field of the request is out of its bounds; `BadRequest` names it.
pub const INVALID_FIELD: &str = "INVALID_FIELD";
/// No such generation is in the store.
pub const GENERATION_UNKNOWN: &str = "GENERATION_UNKNOWN";
/// The generation, or a shard of it, is not held by the server asked.
pub const GENERATION_NOT_HELD: &str = "GENERATION_NOT_HELD";
/// No such model, or no such version of it, is held by the server asked.
pub const MODEL_UNKNOWN: &str = "MODEL_UNKNOWN";
/// Vectors of another embedding space than the generation's.
pub const SPACE_MISMATCH: &str = "SPACE_MISMATCH";
/// The catalog cannot be seen as of the delta asked for, or not yet.
pub const DELTA_NOT_HELD: &str = "DELTA_NOT_HELD";
/// The user's history is not known any more as it was then.
pub const HISTORY_GONE: &str = "HISTORY_GONE";
/// A page or a recall goes on from a generation that is not held any more.
pub const GENERATION_GONE: &str = "GENERATION_GONE";
/// Too many items changed since the generation was made; the next one takes them in.
pub const TAIL_FULL: &str = "TAIL_FULL";
/// Another member owns the user.
pub const FOREIGN_USER: &str = "FOREIGN_USER";
/// The caller routed by other MEMBERS than the server goes by.
pub const MEMBERS_EPOCH: &str = "MEMBERS_EPOCH";
/// A bounded queue is full; `RetryInfo` says when to try again.
pub const QUEUE_FULL: &str = "QUEUE_FULL";
/// So much is under way that the call could only be answered late; `RetryInfo` says when to try again.
pub const OVERLOADED: &str = "OVERLOADED";
/// Who calls is not known: no token or certificate, or one that is not accepted.
pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";
/// Who calls may not make this call.
pub const ROLE_MISSING: &str = "ROLE_MISSING";
/// The caller makes more calls than one caller may; `RetryInfo` says when to try again.
pub const RATE_EXCEEDED: &str = "RATE_EXCEEDED";
/// The server has as many calls under way as it takes; `RetryInfo` says when to try again.
pub const TOO_MANY_CALLS: &str = "TOO_MANY_CALLS";
/// The call's deadline passed.
pub const DEADLINE: &str = "DEADLINE";
/// Too few of the eligible items could be searched.
pub const COVERAGE_TOO_LOW: &str = "COVERAGE_TOO_LOW";
/// No generation is served yet.
pub const NO_GENERATION: &str = "NO_GENERATION";
/// No such artifact is in the store.
pub const ARTIFACT_UNKNOWN: &str = "ARTIFACT_UNKNOWN";
/// The server that must answer, e.g. the user's owner, cannot be reached.
pub const MEMBER_UNREACHABLE: &str = "MEMBER_UNREACHABLE";
/// Somebody else changed which generations answer at the same time; look again, then decide.
pub const POINTER_CHANGED: &str = "POINTER_CHANGED";
/// A store could not be read or written.
pub const STORE_FAILED: &str = "STORE_FAILED";
/// A fault of the server; its log has the cause.
pub const INTERNAL: &str = "INTERNAL";

/// INVALID_ARGUMENT for one field.
pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Status {
    violations(vec![(field.into(), description.into())])
}

/// The most violations that an answer names, and the most that each of their two texts takes in a header.
const VIOLATIONS: (usize, usize) = (20, 160);
/// The most that a message takes in a header. Clients bound the headers of an answer, some to 8 KiB in all, and the details repeat what
/// the message says.
const MESSAGE: usize = 1024;

/// INVALID_ARGUMENT for several fields, as (field, description); cut to what an answer has room for.
pub fn violations(violations: Vec<(String, String)>) -> Status {
    let (most, length) = VIOLATIONS;
    let violations = violations.into_iter().take(most);
    let mut violations: Vec<(String, String)> = violations
        .map(|(field, what)| (cut(field, length), cut(what, length)))
        .collect();
    let mut left = 2 * MESSAGE;
    violations.retain(|(field, what)| {
        left = left.saturating_sub(field.len() + what.len());
        left > 0
    });
    let message = violations
        .iter()
        .map(|(field, description)| format!("{field}: {description}"))
        .collect::<Vec<_>>()
        .join("; ");
    let violations: Vec<_> = violations
        .into_iter()
        .map(|(field, description)| FieldViolation::new(field, description))
        .collect();
    let mut details = info(INVALID_FIELD);
    details.set_bad_request(violations);
    let message = cut(message, MESSAGE);
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// Ends a text where it has taken `most` bytes of a header: each byte of what is not plain ASCII takes three.
fn cut(mut text: String, most: usize) -> String {
    let mut taken = 0;
    let over = text.char_indices().find(|(_, letter)| {
        let plain = matches!(letter, ' '..='~') && *letter != '%';
        taken += if plain { 1 } else { 3 * letter.len_utf8() };
        taken > most
    });
    if let Some((at, _)) = over {
        text.truncate(at);
        text.push_str("...");
    }
    text
}

/// FAILED_PRECONDITION: the state asked for is not there; the same call may work elsewhere or later.
pub fn failed_precondition(reason: &str, message: impl Into<String>) -> Status {
    with_reason(Code::FailedPrecondition, reason, message)
}

/// NOT_FOUND.
pub fn not_found(reason: &str, message: impl Into<String>) -> Status {
    with_reason(Code::NotFound, reason, message)
}

/// UNAVAILABLE: what is needed to answer does not work now.
pub fn unavailable(reason: &str, message: impl Into<String>) -> Status {
    with_reason(Code::Unavailable, reason, message)
}

/// RESOURCE_EXHAUSTED: shed; try again after `retry_after`.
pub fn exhausted(retry_after: Duration, message: impl Into<String>) -> Status {
    shed(QUEUE_FULL, retry_after, message)
}

/// RESOURCE_EXHAUSTED: shed, for it would be answered too late; what is under way takes about `retry_after`.
pub fn overloaded(retry_after: Duration, message: impl Into<String>) -> Status {
    shed(OVERLOADED, retry_after, message)
}

/// RESOURCE_EXHAUSTED: the caller makes more calls than one caller may; the next is taken after `retry_after`.
pub fn rate_exceeded(retry_after: Duration, message: impl Into<String>) -> Status {
    shed(RATE_EXCEEDED, retry_after, message)
}

/// RESOURCE_EXHAUSTED: the server has as many calls under way as it takes.
pub fn too_many_calls(retry_after: Duration, message: impl Into<String>) -> Status {
    shed(TOO_MANY_CALLS, retry_after, message)
}

/// UNAUTHENTICATED: who calls is not known.
pub fn unauthenticated(message: impl Into<String>) -> Status {
    with_reason(Code::Unauthenticated, UNAUTHENTICATED, message)
}

/// PERMISSION_DENIED: who calls may not make this call.
pub fn role_missing(message: impl Into<String>) -> Status {
    with_reason(Code::PermissionDenied, ROLE_MISSING, message)
}

/// DEADLINE_EXCEEDED.
pub fn deadline_exceeded(message: impl Into<String>) -> Status {
    with_reason(Code::DeadlineExceeded, DEADLINE, message)
}

/// INTERNAL; the cause is logged where it is known, never sent.
pub fn internal() -> Status {
    with_reason(
        Code::Internal,
        INTERNAL,
        "internal error; see the server's log",
    )
}

/// A status of any code, with `reason` in its `ErrorInfo`.
pub fn with_reason(code: Code, reason: &str, message: impl Into<String>) -> Status {
    Status::with_error_details(code, cut(message.into(), MESSAGE), info(reason))
}

/// Returns the reason that a status carries, if the house made it.
pub fn reason(status: &Status) -> Option<String> {
    let info = status.get_details_error_info()?;
    (info.domain == DOMAIN).then_some(info.reason)
}

fn shed(reason: &str, retry_after: Duration, message: impl Into<String>) -> Status {
    let mut details = info(reason);
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(
        Code::ResourceExhausted,
        cut(message.into(), MESSAGE),
        details,
    )
}

fn info(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_bad_field_is_named_to_people_and_to_programs() {
        let status = invalid("page_size", "is 2000, at most 1000 are allowed");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(
            status.message(),
            "page_size: is 2000, at most 1000 are allowed"
        );
        assert_eq!(reason(&status).as_deref(), Some(INVALID_FIELD));
        let named = status.get_details_bad_request().unwrap();
        assert_eq!(named.field_violations[0].field, "page_size");
    }

    #[test]
    fn a_shed_call_is_told_when_to_try_again() {
        let status = exhausted(Duration::from_millis(20), "the queue of 256 is full");
        assert_eq!(status.code(), Code::ResourceExhausted);
        let retry = status.get_details_retry_info().unwrap();
        assert_eq!(retry.retry_delay, Some(Duration::from_millis(20)));
        assert_eq!(reason(&status).as_deref(), Some(QUEUE_FULL));
        let status = overloaded(Duration::from_millis(20), "an answer would take 20ms");
        assert_eq!(reason(&status).as_deref(), Some(OVERLOADED));
    }

    #[test]
    fn a_message_that_names_a_long_text_is_cut_to_what_a_header_has_room_for() {
        for (letter, fit) in [('a', MESSAGE), ('é', MESSAGE / 6), ('%', MESSAGE / 3)] {
            let text = letter.to_string().repeat(fit);
            let status = not_found(MODEL_UNKNOWN, text.clone());
            assert_eq!(status.message(), text);
            let status = not_found(MODEL_UNKNOWN, format!("{text}{letter}"));
            assert_eq!(status.message(), format!("{text}..."));
        }
    }

    #[test]
    fn many_long_fields_are_cut_to_what_a_header_has_room_for() {
        let field = || ("é".repeat(500), "ü".repeat(500));
        let status = violations((0..50).map(|_| field()).collect());
        let headers = status.into_http::<()>();
        let bytes = headers.headers().values().map(|value| value.len());
        assert!(bytes.sum::<usize>() < 7 * 1024);
    }

    #[test]
    fn a_status_of_somebody_else_has_no_reason_of_ours() {
        assert_eq!(reason(&Status::internal("elsewhere")), None);
    }
}
