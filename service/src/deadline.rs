//! The moment by which a call must be answered, from `grpc-timeout` in to `grpc-timeout` out.

use std::time::{Duration, Instant};

use http::HeaderMap;
use tonic::Request;

/// The header that carries a call's time.
const HEADER: &str = "grpc-timeout";
/// How much earlier than the caller the server gives up: tonic's own timer runs from the same
/// header and would answer CANCELLED, so ours must ring first.
const HEAD_START: Duration = Duration::from_millis(2);
/// The time of a request that came without a deadline, as in a test that calls a handler directly.
const UNBOUNDED: Duration = Duration::from_secs(3600);

/// The moment by which a call must be answered; the server puts it in the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline `time` from now.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// Returns the deadline of a request that the server received.
    pub fn of<T>(request: &Request<T>) -> Self {
        let known = request.extensions().get::<Self>().copied();
        known.unwrap_or_else(|| Self::after(UNBOUNDED))
    }

    /// The moment itself.
    pub fn at(self) -> Instant {
        self.0
    }

    /// The time left; zero once it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn is_past(self) -> bool {
        self.remaining().is_zero()
    }

    /// Returns the deadline after `share` (0 to 1) of the time that is left now.
    pub fn share(self, share: f64) -> Self {
        Self::after(self.remaining().mul_f64(share.clamp(0.0, 1.0)))
    }

    /// Passes the time that is left on to a server that is called, as `grpc-timeout`.
    pub fn apply<T>(self, request: &mut Request<T>) {
        request.set_timeout(self.remaining());
    }

    /// Reads the deadline of a call that arrives now: its `grpc-timeout`, else `default`; at most
    /// `most`.
    pub(crate) fn from_headers(headers: &HeaderMap, default: Duration, most: Duration) -> Self {
        let Some(named) = headers
            .get(HEADER)
            .and_then(|value| value.to_str().ok())
            .and_then(parse)
        else {
            return Self::after(default.min(most));
        };
        Self::after((named - HEAD_START.min(named / 2)).min(most))
    }
}

/// Parses a `grpc-timeout`: at most 8 digits and a unit; none for anything else.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    const DEFAULT: Duration = Duration::from_secs(10);
    const MOST: Duration = Duration::from_secs(60);

    fn remaining(header: Option<&str>) -> Duration {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(HEADER, value.parse().unwrap());
        }
        Deadline::from_headers(&headers, DEFAULT, MOST).remaining()
    }

    fn check(header: Option<&str>, at_most: Duration) {
        let left = remaining(header);
        assert!(left <= at_most, "{header:?} leaves {left:?}");
        assert!(
            left + Duration::from_secs(1) > at_most,
            "{header:?} leaves {left:?}"
        );
    }

    #[test]
    fn a_call_gets_the_time_it_names() {
        check(Some("20S"), Duration::from_secs(20));
        check(Some("3000m"), Duration::from_secs(3));
    }

    #[test]
    fn a_call_that_names_none_gets_the_default() {
        check(None, DEFAULT);
    }

    #[test]
    fn a_call_never_gets_more_than_the_most() {
        check(Some("99999999H"), MOST);
    }

    #[test]
    fn a_malformed_time_counts_as_none() {
        for header in ["", "S", "5", "5x", "-5S", "+5S", "123456789S", "5.0S"] {
            check(Some(header), DEFAULT);
        }
    }

    #[test]
    fn the_server_gives_up_before_the_caller() {
        assert!(remaining(Some("100m")) <= Duration::from_millis(98));
        assert_eq!(remaining(Some("0S")), Duration::ZERO);
    }

    #[test]
    fn what_is_left_is_passed_on() {
        let mut request = Request::new(());
        Deadline::after(Duration::from_secs(5)).apply(&mut request);
        let passed = parse(request.metadata().get(HEADER).unwrap().to_str().unwrap()).unwrap();
        assert!(passed <= Duration::from_secs(5) && passed > Duration::from_secs(4));
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(text in "\\PC{0,12}") {
            let _ = parse(&text);
        }
    }
}
