//! The slow calls that stand beside the counts of all: from a bar of a dashboard to a trace.
//!
//! Prometheus' older text has no place for them, so they come with OpenMetrics, which a server of Prometheus asks for by itself.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{CALL_SECONDS, SECONDS};

/// What OpenMetrics is asked for by, and told as.
pub(super) const OPEN: &str = "application/openmetrics-text";
/// The type of its text.
pub(super) const OPEN_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The last slow call of each method and bucket.
static LAST: Mutex<Exemplars> = Mutex::new(BTreeMap::new());

/// By the labels of the bucket, as they are rendered.
type Exemplars = BTreeMap<Bucket, Exemplar>;

/// One line of a histogram of calls.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Bucket {
    labels: [String; 2],
    le: String,
}

/// One call that is in a bucket.
struct Exemplar {
    names: String,
    seconds: f64,
    at: SystemTime,
}

/// Remembers a slow call of `path`: its trace, if there is one, and its request.
pub(super) fn remember(path: &str, took: Duration, trace: &str, request: &str) {
    let (bucket, exemplar) = exemplar(path, took, trace, request);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    last.insert(bucket, exemplar);
}

/// What `rendered` is in OpenMetrics' words, with the calls that are remembered.
pub(super) fn open(rendered: &str) -> String {
    let last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    open_with(rendered, &last)
}

fn exemplar(path: &str, took: Duration, trace: &str, request: &str) -> (Bucket, Exemplar) {
    let seconds = took.as_secs_f64();
    let le = SECONDS.iter().find(|most| seconds <= **most);
    let mut names = format!("request_id=\"{}\"", escaped(request));
    if !trace.is_empty() {
        let _ = write!(names, ",trace_id=\"{trace}\"");
    }
    let bucket = Bucket {
        labels: super::labels(path).map(|(name, value)| format!("{name}=\"{value}\"")),
        le: le.map_or("le=\"+Inf\"".to_owned(), |le| format!("le=\"{le}\"")),
    };
    let at = SystemTime::now();
    (bucket, Exemplar { names, seconds, at })
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}

fn open_with(rendered: &str, exemplars: &Exemplars) -> String {
    let mut text = String::with_capacity(rendered.len());
    for line in rendered.lines().filter(|line| !line.is_empty()) {
        // A counter is called without the ending of its samples.
        match line.strip_prefix("# ").and_then(|it| it.split_once(' ')) {
            Some((what, about)) => {
                let (name, rest) = about.split_once(' ').unwrap_or((about, ""));
                let name = name.strip_suffix("_total").unwrap_or(name);
                let _ = write!(text, "# {what} {name} {rest}");
            }
            None => text.push_str(line),
        }
        if let Some(labels) = line.strip_prefix(CALL_SECONDS)
            && let Some(found) = exemplars.iter().find(|(bucket, _)| bucket.is(labels))
        {
            let Exemplar { names, seconds, at } = found.1;
            let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            let _ = write!(text, " # {{{names}}} {seconds} {:.3}", at.as_secs_f64());
        }
        text.push('\n');
    }
    text.push_str("# EOF\n");
    text
}

impl Bucket {
    /// Whether a line is this one, by what follows the name of the histogram.
    fn is(&self, rest: &str) -> bool {
        rest.starts_with("_bucket{")
            && self.labels.iter().all(|label| rest.contains(label))
            && rest.contains(&self.le)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use metrics::{counter, gauge};

    use super::*;
    use crate::metrics::{Calls, recorder};

    const RECALL: &str = "/twotower.v1.RecallService/Recall";

    #[test]
    fn a_slow_call_stands_beside_the_bucket_that_counts_it() {
        let recorder = recorder().unwrap();
        let rendered = metrics::with_local_recorder(&recorder, || {
            let calls = Calls::new([RECALL, "/twotower.v1.RecallService/GetItems"].into_iter());
            drop(calls.begin(RECALL));
            counter!("twotower_panics_total").increment(2);
            gauge!("twotower_connections").set(3.0);
            recorder.handle().render()
        });
        let took = Duration::from_millis(1_500);
        let text = open_with(&rendered, &[exemplar(RECALL, took, "abc", "a\"b")].into());
        let beside: Vec<_> = text.lines().filter(|line| line.contains(" # {")).collect();
        assert_eq!(beside.len(), 1, "{beside:?}");
        for part in [
            r#"grpc_service="twotower.v1.RecallService""#,
            r#"grpc_method="Recall""#,
            r#"le="2.5"} 1 # {request_id="a\"b",trace_id="abc"} 1.5 1"#,
        ] {
            assert!(beside[0].contains(part), "{part}: {beside:?}");
        }
        assert!(text.contains("# TYPE twotower_panics counter\ntwotower_panics_total 2\n"));
        assert!(text.contains("# TYPE twotower_connections gauge\ntwotower_connections 3\n"));
        assert!(text.ends_with("\n# EOF\n") && !text.contains("\n\n"));
    }
}
