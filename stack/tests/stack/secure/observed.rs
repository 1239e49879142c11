//! What a house tells of itself: metrics that dashboards and alerts know, logs without secrets, and traces over all hops.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use proto::v1::{
    self as pb, catalog_service_client::CatalogServiceClient,
    event_service_client::EventServiceClient, item_ref::Name,
    recall_service_client::RecallServiceClient,
};
use serde_json::Value;
use service::client::{Connector, Token};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint, Server},
};

use super::{
    prometheus::{Metrics, asked, read, scrape, scrape_open},
    site::{ITEMS, SITE},
};
use crate::house::support::RUNTIME;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Labels that Prometheus adds itself.
const ADDED: [&str; 3] = ["job", "instance", "le"];

/// A collector of traces, as OpenTelemetry's is.
pub(super) struct Collector {
    pub(super) address: String,
    spans: Arc<Mutex<Vec<Span>>>,
}

/// A span as it came: of which server and trace, and its name.
#[derive(Clone, Debug)]
struct Span {
    server: String,
    trace: Vec<u8>,
    parent: Vec<u8>,
    name: String,
}

struct Spans(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Spans {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let name = attributes.iter().find(|it| it.key == "service.name");
            let server = format!("{:?}", name.map(|it| &it.value));
            let spans = resource.scope_spans.into_iter().flat_map(|it| it.spans);
            self.0.lock().unwrap().extend(spans.map(|span| Span {
                server: server.clone(),
                trace: span.trace_id,
                parent: span.parent_span_id,
                name: span.name,
            }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub(super) fn start() -> Self {
        let spans = Arc::default();
        let service = TraceServiceServer::new(Spans(Arc::clone(&spans)));
        let address = RUNTIME.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let incoming = TcpListenerStream::new(listener);
            let serving = Server::builder().add_service(service);
            tokio::spawn(serving.serve_with_incoming(incoming));
            format!("http://{address}")
        });
        Self { address, spans }
    }
}

/// A connection with a token of `role`.
async fn gateway(role: &str) -> InterceptedService<Channel, Token> {
    let connector = Connector::trusting(&SITE.certs().join("authority.pem")).unwrap();
    let endpoint = Endpoint::from_shared(format!("https://{}", SITE.gateway.address)).unwrap();
    let channel = connector.connect(endpoint).await.unwrap();
    InterceptedService::new(channel, Token::read(&SITE.token_file(role)).unwrap())
}

fn item(id: u64) -> pb::ItemRef {
    pb::ItemRef {
        name: Some(Name::Id(id)),
    }
}

/// Lets every part of the house do something, the recall under the names given.
async fn use_it(user: &str, request_id: &str, traceparent: &str) {
    let event = pb::Event {
        user_id: user.to_owned(),
        item: Some(item(7)),
        event_id: "1".to_owned(),
        time: 1_000,
        ..pb::Event::default()
    };
    let record = pb::RecordEventsRequest {
        events: vec![event],
        ..pb::RecordEventsRequest::default()
    };
    let mut events = EventServiceClient::new(gateway("writer").await);
    events.record_events(record).await.unwrap();
    let put = pb::Item {
        id: ITEMS + 1,
        title: "Fresh".to_owned(),
        ..pb::Item::default()
    };
    let items = vec![put];
    let mut catalog = CatalogServiceClient::new(gateway("editor").await);
    let put = catalog.upsert_items(pb::UpsertItemsRequest { items }).await;
    put.unwrap();
    let mut recalls = RecallServiceClient::new(gateway("reader").await);
    for _ in 0..2 {
        let mut recall = Request::new(pb::RecallRequest {
            user_id: user.to_owned(),
            page_size: 5,
            ..pb::RecallRequest::default()
        });
        let metadata = recall.metadata_mut();
        metadata.insert("x-request-id", request_id.parse().unwrap());
        metadata.insert("traceparent", traceparent.parse().unwrap());
        recalls.recall(recall).await.unwrap();
    }
    let wrong = pb::RecallRequest {
        page_size: 1_000_000,
        ..pb::RecallRequest::default()
    };
    recalls.recall(wrong).await.unwrap_err();
}

/// Waits until `find` finds something.
fn until<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let late = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < late, "{what} never comes");
        std::thread::yield_now();
    }
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every text under a key `expr`, wherever it stands.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| match value {
            Value::String(text) if key == "expr" => found.push(text.clone()),
            value => expressions(value, found),
        }),
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn every_metric_and_label_of_the_dashboard_and_the_alerts_is_told() {
    RUNTIME.block_on(use_it("someone-measured", "m-1", &parent(1)));
    let known = until("a metric of the process", || {
        let mut known = Metrics::new();
        for process in SITE.processes() {
            read(&scrape(&process.metrics), &mut known);
        }
        known.contains_key("process_open_fds").then_some(known)
    });
    let file = |path: &str| fs::read_to_string(workspace().join(path)).unwrap();
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/twotower.json")).unwrap();
    let alerts: Value = serde_saphyr::from_str(&file("deploy/prometheus/alerts.yml")).unwrap();
    for (name, source) in [("dashboard", dashboard), ("alerts", alerts)] {
        let mut queries = Vec::new();
        expressions(&source, &mut queries);
        assert!(queries.len() > 5, "{name} asks for nothing");
        for query in queries {
            let (metrics, groups) = asked(&query);
            let mut labels: BTreeSet<_> = ADDED.map(str::to_owned).into();
            for (metric, named) in metrics {
                let has = known.get(&metric);
                let has = has.unwrap_or_else(|| panic!("nobody tells {metric}: {name}: {query}"));
                labels.extend(has.iter().cloned());
                for label in named {
                    let is = has.contains(&label) || ADDED.contains(&label.as_str());
                    assert!(is, "{metric} has no label {label}: {name}: {query}");
                }
            }
            let unknown: Vec<_> = groups.difference(&labels).collect();
            assert!(unknown.is_empty(), "no label {unknown:?}: {name}: {query}");
        }
    }
}

#[test]
fn calls_are_counted_by_service_method_and_code() {
    RUNTIME.block_on(use_it("someone-counted", "c-1", &parent(2)));
    let text = scrape(&SITE.gateway.metrics);
    for code in ["OK", "InvalidArgument"] {
        let line = text.lines().find(|line| {
            line.starts_with("grpc_server_handled_total{")
                && line.contains(r#"grpc_service="twotower.v1.RecallService""#)
                && line.contains(r#"grpc_method="Recall""#)
                && line.contains(&format!(r#"grpc_code="{code}""#))
        });
        let count = line.and_then(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
        assert!(count.is_some_and(|count| count > 0), "{code}: {line:?}");
    }
}

/// A trace of a caller who wants it kept.
fn parent(number: u8) -> String {
    format!("00-{}-00000000000000aa-01", trace(number))
}

fn trace(number: u8) -> String {
    format!("{number:032x}")
}

#[test]
fn a_trace_goes_over_all_hops_under_the_callers_parent() {
    RUNTIME.block_on(use_it("someone-traced", "t-1", &parent(3)));
    let wanted = [
        ("gateway", "/twotower.v1.RecallService/Recall"),
        ("user-tower", "/twotower.v1.UserTowerService/EmbedUsers"),
        ("item-tower", "/twotower.v1.SearchService/Search"),
    ];
    let spans = until("a whole trace", || {
        let spans = SITE.collector.spans.lock().unwrap();
        let ours = spans.iter().filter(|span| hex(&span.trace) == trace(3));
        let ours: Vec<Span> = ours.cloned().collect();
        let has = |(server, name): &(&str, &str)| {
            let found = |span: &Span| span.server.contains(server) && span.name == *name;
            ours.iter().any(found)
        };
        wanted.iter().all(has).then_some(ours)
    });
    let of_caller = |span: &&Span| hex(&span.parent) == "00000000000000aa";
    assert!(
        spans
            .iter()
            .filter(of_caller)
            .all(|span| span.name.contains("Recall")),
        "{spans:?}"
    );
}

#[test]
fn the_trace_of_a_slow_call_stands_beside_its_time_for_who_asks_for_openmetrics() {
    RUNTIME.block_on(use_it("someone-slow", "s-1", &parent(5)));
    let text = scrape_open(&SITE.gateway.metrics);
    assert!(text.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(text.trim_end().ends_with("# EOF"), "{text}");
    let beside = text.lines().find(|line| {
        line.starts_with("grpc_server_handling_seconds_bucket{")
            && line.contains(r#"grpc_method="Recall""#)
            && line.contains(r##" # {request_id=""##)
            && line.contains(r#",trace_id="0000"#)
    });
    assert!(beside.is_some(), "{text}");
    assert!(!scrape(&SITE.gateway.metrics).contains(" # {"));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn logs_are_json_with_the_request_and_without_users_tokens_or_histories() {
    let user = "someone-secret";
    RUNTIME.block_on(use_it(user, "r-1", &parent(4)));
    let token = SITE.token("reader");
    let signature = token.rsplit('.').next().unwrap();
    for process in SITE.processes() {
        for log in process.logs.lock().unwrap().iter() {
            assert!(log.is_object(), "no JSON: {log}");
            let text = log.to_string();
            assert!(!text.contains(user), "{text}");
            assert!(!text.contains(signature), "{text}");
        }
    }
}

#[test]
fn every_server_says_what_it_is_and_what_it_holds() {
    let held: BTreeMap<_, _> = SITE
        .processes()
        .map(|process| {
            let text = scrape(&process.metrics);
            let serving = text.lines().filter(|line| {
                line.starts_with("twotower_generation_info{") && line.contains(r#"state="serving""#)
            });
            let serving: Vec<_> = serving.filter(|line| line.ends_with(" 1")).collect();
            assert!(text.contains("twotower_build_info{"), "{text}");
            assert_eq!(serving.len(), 1, "{serving:?}");
            let generation = serving[0].split("generation=\"").nth(1).unwrap();
            let generation = generation.split('"').next().unwrap().to_owned();
            (process.address.clone(), generation)
        })
        .collect();
    let all: BTreeSet<_> = held.values().collect();
    assert_eq!((held.len(), all.len()), (4, 1), "{held:?}");
}
