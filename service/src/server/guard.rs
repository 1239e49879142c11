//! Ends a call that must not go on: its deadline passed, or its handler panicked.

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt as _;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Sleep, sleep_until};
use tonic::{
    Status,
    body::Body,
    codegen::{BoxFuture, Bytes},
};
use tower::{Layer, Service};
use tracing::error;

use crate::{deadline::Deadline, identity::access, metrics, panic, status};

/// Guards every call of the service under it but those of health: a watch has no end, and asking once has none to wait for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuardLayer {
    default: Duration,
    most: Duration,
}

/// A guarded service.
#[derive(Clone, Debug)]
pub(crate) struct Guard<S> {
    inner: S,
    layer: GuardLayer,
}

/// An answer that ends at the deadline, with the status as its trailers.
struct GuardedBody {
    inner: Body,
    deadline: Pin<Box<Sleep>>,
    ended: bool,
}

impl GuardLayer {
    /// Gives calls that name no deadline `default`, and none more than `most`.
    pub(crate) fn new(default: Duration, most: Duration) -> Self {
        Self { default, most }
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard {
            inner,
            layer: *self,
        }
    }
}

impl<S, B, R> Service<Request<B>> for Guard<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    S::Future: Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<tonic::codegen::StdError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if access::is_open(request.uri().path()) {
            let answered = self.inner.call(request);
            return Box::pin(async move { Ok(answered.await?.map(Body::new)) });
        }
        let GuardLayer { default, most } = self.layer;
        // Since the call came in, if that was noted.
        let known = request.extensions().get::<Deadline>().copied();
        let deadline =
            known.unwrap_or_else(|| Deadline::from_headers(request.headers(), default, most));
        request.extensions_mut().insert(deadline);
        let handler = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        Box::pin(async move {
            let mut timer = Box::pin(sleep_until(deadline.at().into()));
            let outcome = tokio::select! {
                biased;
                outcome = handler => outcome,
                () = &mut timer => return Ok(passed().into_http()),
            };
            Ok(match outcome {
                Ok(Ok(response)) => response.map(|body| guard(Body::new(body), timer)),
                Ok(Err(never)) => match never {},
                Err(payload) => panicked(&*payload).into_http(),
            })
        })
    }
}

/// Guards an answer that is still to come; one that is whole already needs no guard.
fn guard(body: Body, deadline: Pin<Box<Sleep>>) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::new(GuardedBody {
        inner: body,
        deadline,
        ended: false,
    })
}

impl GuardedBody {
    fn end(&mut self, status: &Status) -> Frame<Bytes> {
        self.ended = true;
        self.inner = Body::empty();
        let mut trailers = HeaderMap::new();
        if status.add_header(&mut trailers).is_err() {
            trailers = Status::internal("").into_http::<()>().headers().clone();
        }
        Frame::trailers(trailers)
    }
}

impl http_body::Body for GuardedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let body = &mut *self;
        if body.ended {
            return Poll::Ready(None);
        }
        let inner = Pin::new(&mut body.inner);
        match catch_unwind(AssertUnwindSafe(|| inner.poll_frame(context))) {
            Ok(Poll::Ready(frame)) => Poll::Ready(frame),
            Ok(Poll::Pending) => match body.deadline.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Some(Ok(body.end(&passed())))),
                Poll::Pending => Poll::Pending,
            },
            Err(payload) => Poll::Ready(Some(Ok(body.end(&panicked(&*payload))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn passed() -> Status {
    status::deadline_exceeded("the call's deadline passed before it was answered")
}

fn panicked(payload: &(dyn std::any::Any + Send)) -> Status {
    error!(cause = panic::message(payload), "a handler panicked");
    metrics::panicked();
    status::internal()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use tonic::Code;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    /// Calls a guarded handler that never answers, with the `grpc-timeout` given.
    async fn hang(timeout: &str) -> Response<Body> {
        let handler = service_fn(|_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, Infallible>>()
        });
        let day = Duration::from_secs(86_400);
        let request = Request::builder()
            .header("grpc-timeout", timeout)
            .body(Body::empty());
        let guarded = GuardLayer::new(day, day).layer(handler);
        guarded.oneshot(request.unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_call_ends_at_the_deadline_that_it_names() {
        for timeout in ["0m", "1u", "30m"] {
            let response = hang(timeout).await;
            let status = Status::from_header_map(response.headers()).unwrap();
            assert_eq!(status.code(), Code::DeadlineExceeded, "{timeout}: {status}");
        }
    }
}
