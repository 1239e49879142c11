//! One call, as logs and traces know it on every server that it passes.

use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

use http::HeaderMap;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tracing::{Instrument as _, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::traces;

/// The header that names a call.
const HEADER: &str = "x-request-id";
/// The longest name that is taken from a caller.
const LONGEST: usize = 64;

/// What the spans of calls are told by.
pub(super) const TARGET: &str = module_path!();

tokio::task_local! {
    static CURRENT: Id;
}

/// The name of a call: the caller's, else one of ours.
#[derive(Clone, Debug)]
pub(crate) struct Id(String);

impl Id {
    /// Reads the name that a caller gave, or makes one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let named = headers.get(HEADER).and_then(|value| value.to_str().ok());
        let sound = |name: &&str| {
            (1..=LONGEST).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        Self(named.filter(sound).map_or_else(next, str::to_owned))
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Runs `call` under this name.
    pub(crate) fn scope<F: Future>(self, call: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, call)
    }
}

/// A call under way, for what is done for it in other tasks.
#[derive(Clone, Debug)]
pub struct Within {
    id: Option<Id>,
    span: Span,
}

impl Within {
    /// The call that is answered here.
    pub fn current() -> Self {
        Self {
            id: CURRENT.try_with(Id::clone).ok(),
            span: Span::current(),
        }
    }

    /// Does `work` as a part of the call.
    pub async fn run<F: Future>(self, work: F) -> F::Output {
        let work = work.instrument(self.span);
        match self.id {
            Some(id) => id.scope(work).await,
            None => work.await,
        }
    }
}

/// A name that no other call of this process has, and hardly one of another.
fn next() -> String {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    if STARTED.load(Relaxed) == 0 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(1, |now| now.as_nanos() as u64);
        STARTED.store(now ^ u64::from(std::process::id()).rotate_left(40), Relaxed);
    }
    let (started, count) = (STARTED.load(Relaxed), COUNT.fetch_add(1, Relaxed));
    format!("{started:016x}-{count:x}")
}

/// The span of a call: all that is logged in it has its method and its name.
pub(crate) fn call_span(path: &str, headers: &HeaderMap, id: &Id) -> Span {
    if !traces::are_on() {
        return info_span!("call", method = path, request = id.0);
    }
    let span = info_span!(
        "call",
        otel.name = path,
        otel.kind = "server",
        method = path,
        request = id.0
    );
    // Without the layer of traces there is nobody to tell.
    let _ = span.set_parent(traces::extract(headers));
    span
}

/// A header that differs from call to call: HTTP/2 is not to remember it for the next list of headers.
pub(super) fn fleeting(value: &str) -> Option<AsciiMetadataValue> {
    let mut value: AsciiMetadataValue = value.parse().ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Tells a server that is called the name of the call it is called for, and its trace.
pub fn pass_on(metadata: &mut MetadataMap) {
    if let Ok(Some(id)) = CURRENT.try_with(|id| fleeting(&id.0)) {
        metadata.insert(HEADER, id);
    }
    if traces::are_on() {
        traces::inject(&Span::current().context(), metadata);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn named(name: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        let name = http::HeaderValue::from_bytes(name).unwrap();
        headers.insert(HEADER, name);
        Id::of(&headers).0
    }

    #[test]
    fn a_callers_name_is_taken_unless_it_could_spoil_a_log() {
        assert_eq!(named(b"abc-123"), "abc-123");
        for wrong in [b"".as_slice(), b"a b", b"caf\xe9", &[b'a'; 65]] {
            assert!(named(wrong).contains('-'), "{wrong:?} is replaced");
        }
    }

    #[test]
    fn two_calls_without_a_name_get_two() {
        assert_ne!(Id::of(&HeaderMap::new()).0, Id::of(&HeaderMap::new()).0);
    }

    #[tokio::test]
    async fn a_server_that_is_called_hears_the_name_of_the_call() {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, "abc".parse().unwrap());
        let passed = Id::of(&headers).scope(async {
            let mut metadata = MetadataMap::new();
            pass_on(&mut metadata);
            metadata.get(HEADER).unwrap().to_str().unwrap().to_owned()
        });
        assert_eq!(passed.await, "abc");
    }
}
