//! The text format of Prometheus, and the names and labels of its queries.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::TcpStream,
};

/// The labels of every metric, by its name.
pub(super) type Metrics = BTreeMap<String, BTreeSet<String>>;

/// Asks a server for its metrics.
pub(super) fn scrape(address: &str) -> String {
    scrape_as(address, "text/plain")
}

/// Asks for them as Prometheus does by itself, in OpenMetrics' words.
pub(super) fn scrape_open(address: &str) -> String {
    let accepted =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2";
    scrape_as(address, accepted)
}

fn scrape_as(address: &str, accepted: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: {address}\r\nAccept: {accepted}\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    text
}

/// Adds the names and labels of what a server told.
pub(super) fn read(text: &str, metrics: &mut Metrics) {
    for line in text.lines().filter(|line| is_sample(line)) {
        let end = line.find(['{', ' ']).unwrap();
        let labels = metrics.entry(line[..end].to_owned()).or_default();
        if let Some(list) = line[end..].strip_prefix('{') {
            labels.extend(label_names(list));
        }
    }
}

fn is_sample(line: &str) -> bool {
    let first = line.chars().next();
    first.is_some_and(|first| first.is_ascii_lowercase()) && line.contains(' ')
}

/// The names before `=` of a list of labels that ends with `}`.
fn label_names(list: &str) -> Vec<String> {
    let (mut names, mut name, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    for letter in list.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '}' => break,
            ',' => name.clear(),
            '=' | '!' | '~' => {
                if !name.is_empty() {
                    names.push(name.trim().to_owned());
                }
                name.clear();
            }
            letter => name.push(letter),
        }
    }
    names
}

/// The metrics that a query asks for, each with the labels that it names in braces, and the labels it groups by.
pub(super) fn asked(query: &str) -> (Vec<(String, Vec<String>)>, BTreeSet<String>) {
    let (mut metrics, mut groups) = (Vec::new(), BTreeSet::new());
    let mut rest = query;
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_alphabetic()) {
        rest = &rest[start..];
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
        let end = rest.find(|letter| !is_name(letter)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        let is_ours = ["twotower_", "grpc_server_", "process_"]
            .iter()
            .any(|start| word.starts_with(start));
        if is_ours {
            let labels = after.strip_prefix('{').map(label_names);
            metrics.push((word.to_owned(), labels.unwrap_or_default()));
        }
        if let Some(list) = after.strip_prefix('{') {
            let end = list.find('}').unwrap_or(list.len());
            rest = &list[end..];
        }
        if matches!(word, "by" | "without" | "on" | "group_left" | "ignoring")
            && let Some(list) = after.trim_start().strip_prefix('(')
        {
            let list = &list[..list.find(')').unwrap_or(list.len())];
            let names = list.split(',').map(|name| name.trim().to_owned());
            groups.extend(names.filter(|name| !name.is_empty()));
            let skipped = after.find(')').unwrap_or(after.len());
            rest = &after[skipped..];
        }
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').map_or(quoted.len(), |end| end + 1);
            rest = &quoted[end..];
        }
    }
    (metrics, groups)
}

#[test]
fn the_names_and_labels_of_a_query_are_found() {
    let query = r#"sum by (grpc_code, le) (rate(grpc_server_handled_total{grpc_code!="OK",job=~"a|b"}[5m])) > twotower_delta"#;
    let (metrics, groups) = asked(query);
    let labels = ["grpc_code", "job"].map(str::to_owned).to_vec();
    let handled = ("grpc_server_handled_total".to_owned(), labels);
    assert_eq!(
        metrics,
        [handled, ("twotower_delta".to_owned(), Vec::new())]
    );
    assert_eq!(groups, ["grpc_code", "le"].map(str::to_owned).into());
}
