//! What a server measures of itself, in Prometheus' words; the crate `metrics` is the way to add to it.
//!
//! Nothing is kept until [`serve`] was called: without it each metric costs a call of an empty function.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use axum::{Router, routing::get};
use http::{HeaderMap, header};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use tokio::net::TcpListener;
use tonic::Code;

use crate::status;

mod exemplars;
mod generations;

pub use generations::Generations;

/// Upper bounds of times, in seconds.
const SECONDS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];
/// How long calls took.
const CALL_SECONDS: &str = "grpc_server_handling_seconds";
/// Upper bounds of shares.
const SHARES: [f64; 10] = [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0];
/// Upper bounds of counts.
const COUNTS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];
/// How often what the operating system knows of the process is read.
const PROCESS: Duration = Duration::from_secs(5);

/// Keeps what is measured from now on, and tells it to whoever asks `address` for `/metrics`.
///
/// Must be called where a runtime runs, before the server `server` is made; once in a process.
///
/// # Errors
/// If the address cannot be bound, or another recorder is there.
pub fn serve(address: &str, server: &'static str) -> anyhow::Result<()> {
    let bound: SocketAddr = address
        .parse()
        .with_context(|| format!("{address} is no address"))?;
    let listener = std::net::TcpListener::bind(bound)
        .with_context(|| format!("metrics cannot be told at {address}"))?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let recorder = recorder()?;
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)
        .map_err(|_| anyhow!("the process keeps its metrics elsewhere already"))?;
    let told = handle.clone();
    let tell = async move |headers: HeaderMap| render(&told, &headers);
    let router = Router::new().route("/metrics", get(tell));
    tokio::spawn(axum::serve(listener, router).into_future());
    tokio::spawn(async move {
        let process = metrics_process::Collector::default();
        process.describe();
        let mut every = tokio::time::interval(PROCESS);
        loop {
            every.tick().await;
            process.collect();
            handle.run_upkeep();
        }
    });
    gauge!("twotower_build_info", "server" => server, "version" => env!("CARGO_PKG_VERSION"))
        .set(1.0);
    Ok(())
}

fn recorder() -> anyhow::Result<PrometheusRecorder> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Full("twotower_coverage".to_owned()), &SHARES)?
        .set_buckets_for_metric(Matcher::Full("twotower_batch_users".to_owned()), &COUNTS)?
        .build_recorder();
    Ok(recorder)
}

/// The type and the text of what is told: with the traces of slow calls, if it is asked for so.
fn render(
    handle: &PrometheusHandle,
    asked: &HeaderMap,
) -> ([(header::HeaderName, &'static str); 1], String) {
    let mut accepted = asked.get_all(header::ACCEPT).iter();
    let open = accepted.any(|accept| accept.to_str().is_ok_and(|it| it.contains(exemplars::OPEN)));
    let text = handle.render();
    match open {
        true => (
            [(header::CONTENT_TYPE, exemplars::OPEN_TYPE)],
            exemplars::open(&text),
        ),
        false => (
            [(
                header::CONTENT_TYPE,
                "text/plain; version=0.0.4; charset=utf-8",
            )],
            text,
        ),
    }
}

/// Shows at 0 what has not happened yet.
pub(crate) fn begin() {
    counter!("twotower_panics_total").increment(0);
    for reason in ["limit", "handshake"] {
        counter!("twotower_connections_refused_total", "reason" => reason).increment(0);
    }
    for reason in [
        status::UNAUTHENTICATED,
        status::ROLE_MISSING,
        status::RATE_EXCEEDED,
        status::TOO_MANY_CALLS,
    ] {
        counter!("twotower_calls_refused_total", "reason" => reason).increment(0);
    }
}

/// Counts a connection that was closed before it could be used.
pub(crate) fn refused_connection(reason: &'static str) {
    counter!("twotower_connections_refused_total", "reason" => reason).increment(1);
}

/// Counts a call that was refused before its handler.
pub(crate) fn refused_call(reason: &'static str) {
    counter!("twotower_calls_refused_total", "reason" => reason).increment(1);
}

/// Counts a panic.
pub fn panicked() {
    counter!("twotower_panics_total").increment(1);
}

/// Something that is open until it is dropped.
pub(crate) struct Open(Gauge);

impl Open {
    /// One more connection.
    pub(crate) fn connection() -> Self {
        Self::count(gauge!("twotower_connections"))
    }

    fn count(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// How long tasks of a pool waited, and how long they took.
#[derive(Clone)]
pub(crate) struct Pool {
    queue: Histogram,
    compute: Histogram,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the times of a pool")
    }
}

impl Pool {
    /// The pool `name`.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            queue: histogram!("twotower_queue_seconds", "pool" => name),
            compute: histogram!("twotower_compute_seconds", "pool" => name),
        }
    }

    /// A task waited so long.
    pub(crate) fn waited(&self, time: Duration) {
        self.queue.record(time);
    }

    /// A task took so long.
    pub(crate) fn took(&self, time: Duration) {
        self.compute.record(time);
    }
}

/// The metrics of every call that a server answers, by path.
#[derive(Clone)]
pub(crate) struct Calls {
    by_path: Arc<BTreeMap<&'static str, Rpc>>,
    in_flight: Gauge,
}

/// The metrics of one kind of call.
struct Rpc {
    started: Counter,
    handled: Vec<Counter>,
    seconds: Histogram,
}

/// A call under way; dropped unfinished, it was cancelled.
pub(crate) struct Call {
    calls: Calls,
    path: Option<&'static str>,
    started: std::time::Instant,
    code: Code,
    _in_flight: Open,
}

impl Calls {
    /// For the calls at `paths`.
    pub(crate) fn new(paths: impl Iterator<Item = &'static str>) -> Self {
        Self {
            by_path: Arc::new(paths.map(|path| (path, Rpc::new(path))).collect()),
            in_flight: gauge!("grpc_server_in_flight"),
        }
    }

    /// A call of `path` begins.
    pub(crate) fn begin(&self, path: &str) -> Call {
        let found = self.by_path.get_key_value(path);
        if let Some((_, rpc)) = found {
            rpc.started.increment(1);
        }
        Call {
            path: found.map(|(path, _)| *path),
            started: std::time::Instant::now(),
            code: Code::Cancelled,
            _in_flight: Open::count(self.in_flight.clone()),
            calls: self.clone(),
        }
    }
}

impl Call {
    /// What the call ends with.
    pub(crate) fn ends(&mut self, code: Code) {
        self.code = code;
    }

    /// How long it has taken.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// It was slow: its trace, if there is one, and its request are told beside its time.
    pub(crate) fn was_slow(&self, trace: &str, request: &str) {
        if let Some(path) = self.path {
            exemplars::remember(path, self.elapsed(), trace, request);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let rpc = self.path.and_then(|path| self.calls.by_path.get(path));
        let Some(rpc) = rpc else { return };
        if let Some(handled) = rpc.handled.get(self.code as usize) {
            handled.increment(1);
        }
        rpc.seconds.record(self.started.elapsed());
    }
}

impl Rpc {
    fn new(path: &'static str) -> Self {
        let labels = labels(path);
        let handled = (0..=16).map(|code| {
            let code = ("grpc_code", name(Code::from_i32(code)));
            counter!("grpc_server_handled_total", &[labels[0], labels[1], code])
        });
        Self {
            started: counter!("grpc_server_started_total", &labels),
            handled: handled.collect(),
            seconds: histogram!(CALL_SECONDS, &labels),
        }
    }
}

/// The labels of a call.
fn labels(path: &str) -> [(&'static str, &str); 2] {
    let (service, method) = path
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or((path, ""));
    [("grpc_service", service), ("grpc_method", method)]
}

/// The code in the words of Go's gRPC, which dashboards know.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
