//! The entry of a server: counts each call, asks who makes it, and lets in no more than there is room for.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{
    Code, Status,
    body::Body,
    codegen::{BoxFuture, Bytes},
};
use tower::{Layer, Service};
use tracing::{Instrument as _, warn};

use crate::{
    connection::{Peer, answers::Answer},
    deadline::Deadline,
    identity::{
        Identity,
        access::{self, Table},
    },
    metrics::{self, Call, Calls},
    server::rate::Rate,
    status, telemetry,
};

/// How long a call waits for another to end, where as many are under way as there may be.
const PATIENCE: Duration = Duration::from_millis(5);
/// When one that was refused for that may try again.
const RETRY: Duration = Duration::from_millis(100);
/// Operators' calls at once.
const OPERATORS: usize = 64;
/// Watches of health at once.
const WATCHERS: usize = 1024;
/// How tonic begins to say that bytes are no message.
const UNDECODABLE: &str = "failed to decode Protobuf message";

/// Lets calls in.
#[derive(Clone)]
pub(crate) struct EntryLayer(Arc<Entry>);

/// What decides whether a call comes in.
pub(crate) struct Entry {
    /// Who may make which call.
    pub(crate) table: Table,
    /// Who callers are.
    pub(crate) identity: Arc<Identity>,
    /// How many calls a second each may make.
    pub(crate) rate: Option<Rate>,
    /// How many calls there may be at once.
    pub(crate) rooms: Rooms,
    /// The time of a call that names none, and the most that one gets.
    pub(crate) time: (Duration, Duration),
    /// A call that takes so long is told of, with its trace.
    pub(crate) slow: Duration,
    /// Whether operators have a listener of their own.
    pub(crate) apart: bool,
    /// What is counted.
    pub(crate) calls: Calls,
}

/// How many calls there may be at once: of all, of operators, and of those who watch whether the server is healthy. One kind keeps no other
/// out.
pub(crate) struct Rooms {
    all: Arc<Semaphore>,
    operators: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
}

impl Rooms {
    /// So many calls of all; operators' and watchers' have rooms of their own.
    pub(crate) fn new(all: usize) -> Self {
        let [all, operators, watchers] =
            [all, OPERATORS, WATCHERS].map(|room| Arc::new(Semaphore::new(room)));
        Self {
            all,
            operators,
            watchers,
        }
    }
}

/// A service with an entry.
#[derive(Clone)]
pub(crate) struct Entered<S> {
    inner: S,
    entry: Arc<Entry>,
}

/// An answer that is counted when it ends, and keeps its room until then.
struct CountedBody {
    inner: Body,
    call: Call,
    ended: bool,
    _room: Option<OwnedSemaphorePermit>,
    _answer: Option<Answer>,
}

impl EntryLayer {
    pub(crate) fn new(entry: Entry) -> Self {
        Self(Arc::new(entry))
    }
}

impl<S> Layer<S> for EntryLayer {
    type Service = Entered<S>;

    fn layer(&self, inner: S) -> Entered<S> {
        Entered {
            inner,
            entry: Arc::clone(&self.0),
        }
    }
}

impl<S, B, R> Service<Request<B>> for Entered<S>
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
        let entry = &self.entry;
        let mut call = entry.calls.begin(request.uri().path());
        if let Err(status) = entry.admit(&request) {
            call.ends(status.code());
            return Box::pin(std::future::ready(Ok(status.into_http())));
        }
        let room = entry.room(request.uri().path()).cloned();
        let (default, most) = entry.time;
        let deadline = Deadline::from_headers(request.headers(), default, most);
        request.extensions_mut().insert(deadline);
        let peer = request.extensions().get::<Peer>();
        // Watches of health have no end, so nothing is overdue of them.
        let bounded = !access::is_open(request.uri().path());
        let answer = peer
            .filter(|_| bounded)
            .map(|peer| peer.answers.begin(deadline.at()));
        let id = telemetry::Id::of(request.headers());
        let span = telemetry::call_span(request.uri().path(), request.headers(), &id);
        let (slow, name) = (entry.slow, id.clone());
        let handler = self.inner.call(request);
        let answered = async move {
            let room = match room {
                None => None,
                Some(room) => match enter(room, deadline).await {
                    Ok(permit) => Some(permit),
                    Err(status) => {
                        refused(&status);
                        call.ends(status.code());
                        return Ok(status.into_http());
                    }
                },
            };
            let response = match handler.await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            if call.elapsed() >= slow {
                let milliseconds = call.elapsed().as_millis() as u64;
                let trace = telemetry::trace_id();
                call.was_slow(&trace, name.as_str());
                warn!(milliseconds, trace, "a call was slow");
            }
            if let Some(status) = undecodable(response.headers()) {
                call.ends(status.code());
                return Ok(status.into_http());
            }
            match code(response.headers()) {
                Some(code) => call.ends(code),
                None if response.status() != http::StatusCode::OK => call.ends(Code::Unknown),
                None => {}
            }
            Ok(response.map(|body| {
                Body::new(CountedBody {
                    inner: Body::new(body),
                    call,
                    ended: false,
                    _room: room,
                    _answer: answer,
                })
            }))
        };
        Box::pin(id.scope(answered.instrument(span)))
    }
}

/// Takes a place in a room, if one is or gets free soon.
async fn enter(room: Arc<Semaphore>, deadline: Deadline) -> Result<OwnedSemaphorePermit, Status> {
    if let Ok(permit) = Arc::clone(&room).try_acquire_owned() {
        return Ok(permit);
    }
    let patience = PATIENCE.min(deadline.remaining());
    match tokio::time::timeout(patience, room.acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(status::too_many_calls(
            RETRY,
            "the server has as many calls under way as it takes",
        )),
    }
}

impl Entry {
    /// Lets a call in, before its body is read.
    fn admit<B>(&self, request: &Request<B>) -> Result<(), Status> {
        let peer = request.extensions().get::<Peer>();
        let path = request.uri().path();
        if access::is_open(path) {
            return Ok(());
        }
        let admitted = self.place(path, peer).and_then(|()| {
            let headers = request.headers();
            let caller = self.table.check(&self.identity, path, headers, peer);
            // Who is not known counts by address, so that nobody can try tokens without end.
            let name = caller
                .as_ref()
                .map_or_else(|_| access::address(peer), |caller| caller.name.clone());
            self.within_rate(&name)?;
            caller.map(drop)
        });
        admitted.inspect_err(refused)
    }

    /// Where the call takes a place; asking once whether the server is healthy takes none.
    fn room(&self, path: &str) -> Option<&Arc<Semaphore>> {
        match path {
            access::HEALTH_CHECK => None,
            access::HEALTH_WATCH => Some(&self.rooms.watchers),
            path if self.table.is_admin(path) => Some(&self.rooms.operators),
            _ => Some(&self.rooms.all),
        }
    }

    /// Checks that operators' calls come in at their own listener, if there is one.
    fn place(&self, path: &str, peer: Option<&Peer>) -> Result<(), Status> {
        let at_admin = peer.is_some_and(|peer| peer.admin);
        if !self.apart || !self.table.is_admin(path) || at_admin {
            return Ok(());
        }
        Err(status::role_missing(format!(
            "{path} is answered where operators' calls are, at server.admin_listen"
        )))
    }

    fn within_rate(&self, caller: &str) -> Result<(), Status> {
        let Some(rate) = &self.rate else {
            return Ok(());
        };
        rate.check(caller).map_err(|wait| {
            status::rate_exceeded(
                wait,
                format!("more than {} calls a second of one caller", rate.most()),
            )
        })
    }
}

fn refused(status: &Status) {
    metrics::refused_call(match status.code() {
        Code::Unauthenticated => status::UNAUTHENTICATED,
        Code::PermissionDenied => status::ROLE_MISSING,
        _ if status::reason(status).as_deref() == Some(status::RATE_EXCEEDED) => {
            status::RATE_EXCEEDED
        }
        _ => status::TOO_MANY_CALLS,
    });
}

/// The code that headers or trailers have.
fn code(headers: &http::HeaderMap) -> Option<Code> {
    let status = headers.get("grpc-status")?;
    Some(Code::from_bytes(status.as_bytes()))
}

/// What a caller is told whose bytes are no message: tonic takes that for a fault of the server.
fn undecodable(headers: &http::HeaderMap) -> Option<Status> {
    code(headers).filter(|code| *code == Code::Internal)?;
    let status = Status::from_header_map(headers)?;
    let why = status.message();
    let ours = !status.details().is_empty();
    (!ours && why.starts_with(UNDECODABLE)).then(|| status::invalid("message", why))
}

impl CountedBody {
    /// The first end counts.
    fn ends(&mut self, code: Option<Code>) {
        if let Some(code) = code.filter(|_| !self.ended) {
            self.ended = true;
            self.call.ends(code);
        }
    }
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                let ended = frame.trailers_ref().and_then(code);
                self.ends(ended);
            }
            Poll::Ready(Some(Err(status))) => self.ends(Some(status.code())),
            // gRPC-Web has its trailers in the body.
            Poll::Ready(None) => self.ends(Some(Code::Ok)),
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
