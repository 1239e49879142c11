//! Traces: a span for each call, sent to a collector by OTLP, joined over servers by W3C's `traceparent`.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context as _;
use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
    trace::TraceContextExt as _,
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use tonic::metadata::{MetadataKey, MetadataMap};
use tracing::warn;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::request::fleeting;

/// How long the last traces may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether anybody gets traces.
static ON: AtomicBool = AtomicBool::new(false);

/// The way to the collector; what waits is sent when it is dropped.
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends to the collector at `endpoint` what the server `name` does.
    pub(super) fn to(endpoint: &str, name: &'static str, share: f64) -> anyhow::Result<Self> {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .build()
            .with_context(|| format!("no traces can be sent to {endpoint}"))?;
        let root = Sampler::TraceIdRatioBased(share);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(root)))
            .with_resource(Resource::builder().with_service_name(name).build())
            .build();
        global::set_text_map_propagator(TraceContextPropagator::new());
        ON.store(true, Relaxed);
        Ok(Self(provider))
    }

    pub(super) fn provider(&self) -> &SdkTracerProvider {
        &self.0
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(cause) = self.0.shutdown_with_timeout(PATIENCE) {
            warn!(%cause, "the last traces could not be sent");
        }
    }
}

/// Whether anybody gets traces.
pub(super) fn are_on() -> bool {
    ON.load(Relaxed)
}

/// The trace that a call came in.
pub(super) fn extract(headers: &http::HeaderMap) -> Context {
    global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers)))
}

/// The trace of what runs now; empty where there is none.
pub(crate) fn current() -> String {
    let context = tracing::Span::current().context();
    let span = context.span().span_context().clone();
    match span.is_valid() {
        true => span.trace_id().to_string(),
        false => String::new(),
    }
}

/// Names the trace `context` to a server that is called.
pub(super) fn inject(context: &Context, metadata: &mut MetadataMap) {
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(context, &mut Metadata(metadata));
    });
}

struct Headers<'a>(&'a http::HeaderMap);
struct Metadata<'a>(&'a mut MetadataMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

impl Injector for Metadata<'_> {
    fn set(&mut self, key: &str, value: String) {
        let key = MetadataKey::from_bytes(key.as_bytes());
        if let (Ok(key), Some(value)) = (key, fleeting(&value)) {
            self.0.insert(key, value);
        }
    }
}
