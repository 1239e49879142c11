//! Says in one sentence why a call failed.

use service::status;
use tonic::{Code, Status};

/// Makes an error of a status: its code, the reason of its `ErrorInfo` and its message, which names the fields of a bad request.
pub(crate) fn of(status: Status) -> anyhow::Error {
    anyhow::Error::msg(sentence(&status))
}

fn sentence(status: &Status) -> String {
    let code = name(status.code());
    let message = match status.message() {
        "" => status.code().description(),
        message => message,
    };
    match status::reason(status) {
        Some(reason) => format!("{code} ({reason}): {message}"),
        None => format!("{code}: {message}"),
    }
}

/// A code's name as gRPC's documentation spells it.
fn name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_request_names_code_reason_and_fields() {
        let status = status::invalid("page_size", "is 2000, at most 1000 is allowed");
        assert_eq!(
            sentence(&status),
            "INVALID_ARGUMENT (INVALID_FIELD): page_size: is 2000, at most 1000 is allowed"
        );
    }

    #[test]
    fn a_status_of_somebody_else_has_a_code_and_a_message() {
        assert_eq!(sentence(&Status::unavailable("gone")), "UNAVAILABLE: gone");
    }

    #[test]
    fn a_status_without_a_message_is_described() {
        let sentence = sentence(&Status::unimplemented(""));
        assert_eq!(
            sentence,
            format!("UNIMPLEMENTED: {}", Code::Unimplemented.description())
        );
    }
}
