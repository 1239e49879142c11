//! Behaviours of settings in layers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

const DEFAULTS: &str = r#"
store = "data/store"
members = ["a"]

[server]
listen = "127.0.0.1:50052"

[identity]

[telemetry]

[shards]
refresh = "500ms"
exact_below = 20000

[auth]
token = "hunter2"
"#;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    store: String,
    members: Vec<String>,
    server: ServerConfig,
    identity: IdentityConfig,
    telemetry: TelemetryConfig,
    shards: Shards,
    auth: Auth,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Shards {
    #[serde(with = "humantime_serde")]
    refresh: Duration,
    exact_below: usize,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Auth {
    token: String,
}

impl Settings for Sample {
    fn server(&self) -> &ServerConfig {
        &self.server
    }

    fn identity(&self) -> &IdentityConfig {
        &self.identity
    }

    fn telemetry(&self) -> &TelemetryConfig {
        &self.telemetry
    }

    fn validate(&self) -> Result<(), Error> {
        check("store", !self.store.is_empty(), "must not be empty")
    }
}

/// Loads the sample with a file of `text` and the environment `variables`.
fn load_sample(text: &str, variables: &[(&str, &str)]) -> Result<Sample, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sample.toml");
    std::fs::write(&path, text).unwrap();
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let sample: Sample = layered_from("item-tower", DEFAULTS, Some(&path), variables)?;
    checked(sample)
}

fn refusal(text: &str, variables: &[(&str, &str)]) -> String {
    load_sample(text, variables).unwrap_err().to_string()
}

#[test]
fn defaults_hold_where_nothing_is_said() {
    let sample = load_sample("", &[]).unwrap();
    assert_eq!(sample.shards.refresh, Duration::from_millis(500));
    assert_eq!(sample.server.listen, "127.0.0.1:50052");
    assert_eq!(sample.server.max_streams, 200);
    assert_eq!(sample.server.max_header_bytes, 16 * 1024);
    assert_eq!(
        sample.server.max_message_bytes,
        crate::server::MAX_MESSAGE_BYTES
    );
}

#[test]
fn a_file_overrides_defaults_and_the_environment_overrides_both() {
    let file = "store = \"/file\"\n[shards]\nexact_below = 5\n";
    let sample = load_sample(file, &[("ITEM_TOWER__SHARDS__EXACT_BELOW", "7")]).unwrap();
    assert_eq!(sample.store, "/file");
    assert_eq!(sample.shards.exact_below, 7);
    assert_eq!(sample.shards.refresh, Duration::from_millis(500));
}

#[test]
fn the_environment_sets_durations_lists_and_texts_that_look_like_numbers() {
    let variables = [
        ("ITEM_TOWER__SHARDS__REFRESH", "1m 30s"),
        ("ITEM_TOWER__MEMBERS", "a, 007,c"),
        ("ITEM_TOWER__STORE", "1e3"),
        ("ITEM_TOWER__SERVER__REFLECTION", "false"),
        ("ITEM_TOWERS__STORE", "somebody else's"),
    ];
    let sample = load_sample("", &variables).unwrap();
    assert_eq!(sample.shards.refresh, Duration::from_secs(90));
    assert_eq!(sample.members, ["a", "007", "c"]);
    assert_eq!(sample.store, "1e3");
    assert!(!sample.server.reflection);
}

#[test]
fn an_unknown_setting_is_named_with_where_it_stands() {
    let message = refusal("[shards]\nrefesh = \"1s\"\n", &[]);
    assert!(
        message.contains("sample.toml sets `shards.refesh`"),
        "{message}"
    );
    let message = refusal("", &[("ITEM_TOWER__SHARD__REFRESH", "1s")]);
    assert!(
        message.contains("environment variable ITEM_TOWER__SHARD__REFRESH sets `shard.refresh`"),
        "{message}"
    );
}

#[test]
fn an_unknown_setting_is_answered_with_the_nearest_known_one() {
    for (text, nearest) in [
        ("[shards]\nrefesh = \"1s\"\n", "shards.refresh"),
        ("[shard]\nrefresh = \"1s\"\n", "shards"),
        ("[server]\nmax_stream = 5\n", "server.max_streams"),
        // In the wrong section, or in none.
        ("[shards]\nworkers = 1\n", "server.workers"),
        ("drain = \"1s\"\n", "server.drain"),
    ] {
        let message = refusal(text, &[]);
        let expected = format!("; did you mean `{nearest}`?");
        assert!(message.ends_with(&expected), "{message}");
    }
    let message = refusal("", &[("ITEM_TOWER__SERVER__DRIAN", "1s")]);
    let expected = "which is no setting of item-tower; did you mean `server.drain`?";
    assert!(message.ends_with(expected), "{message}");
    let message = refusal("zebra = 1\n", &[]);
    assert!(message.ends_with("no setting of item-tower"), "{message}");
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_its_setting() {
    let message = refusal("", &[("ITEM_TOWER__SHARDS__REFRESH", "soon")]);
    assert!(message.contains("shards.refresh"), "{message}");
    let message = refusal("[shards]\nexact_below = -1\n", &[]);
    assert!(message.contains("shards.exact_below"), "{message}");
    let message = refusal("store = 3 x\n", &[]);
    assert!(message.contains("sample.toml"), "{message}");
}

#[test]
fn a_value_that_cannot_be_used_is_refused_with_its_setting() {
    let message = refusal("store = \"\"", &[]);
    assert_eq!(message, "setting `store` must not be empty");
    for (key, value) in [
        ("LISTEN", "localhost"),
        ("MAX_STREAMS", "0"),
        ("DEFAULT_DEADLINE", "0s"),
        ("MAX_DEADLINE", "1ms"),
    ] {
        let variable = format!("ITEM_TOWER__SERVER__{key}");
        let message = refusal("", &[(&variable, value)]);
        let setting = format!("setting `server.{}`", key.to_lowercase());
        assert!(message.starts_with(&setting), "{message}");
    }
    let message = refusal("", &[("ITEM_TOWER__TELEMETRY__LEVEL", "a=b=c")]);
    assert!(
        message.starts_with("setting `telemetry.level`"),
        "{message}"
    );
}

#[test]
fn what_is_printed_loads_again_and_hides_secrets() {
    let printed = print(&load_sample("", &[]).unwrap()).unwrap();
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(printed.contains("token = \"****\""), "{printed}");
    let again = load_sample(&printed, &[]).unwrap();
    assert_eq!(again.server, load_sample("", &[]).unwrap().server);
}

#[test]
fn a_missing_file_is_named() {
    let missing = Path::new("/nowhere/sample.toml");
    let refused = layered::<Sample>("item-tower", DEFAULTS, Some(missing)).unwrap_err();
    assert!(refused.to_string().contains("/nowhere/sample.toml"));
}

#[test]
fn sections_that_a_job_does_not_have_are_not_added() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Job {
        telemetry: TelemetryConfig,
    }
    let job: Job = parse("[telemetry]\nlevel = \"warn\"\n").unwrap();
    assert_eq!(job.telemetry.level, "warn");
}

#[test]
fn a_server_that_listens_everywhere_is_asked_on_loopback() {
    let mut server = load_sample("", &[]).unwrap().server;
    for (listen, uri) in [
        ("0.0.0.0:50050", "http://127.0.0.1:50050"),
        ("[::]:50050", "http://[::1]:50050"),
        ("gateway:50050", "http://gateway:50050"),
    ] {
        listen.clone_into(&mut server.listen);
        assert_eq!(server.local_uri(), uri);
    }
}
