//! The true binary: kill -9, health probes, and what it refuses to start with.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use proto::v1::{GetUserRequest, event_service_client::EventServiceClient};
use tonic::transport::Channel;

use crate::house::{Site, dataset, event};

/// A user tower in a process of its own; killed when dropped.
struct Process {
    child: Child,
    uri: String,
}

fn command(site: &Site) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_user-tower"));
    command
        .env("USER_TOWER__STORE", &site.config.store)
        .env("USER_TOWER__HISTORY__PATH", &site.config.history.path)
        .env("USER_TOWER__SERVER__LISTEN", "127.0.0.1:0")
        .env("USER_TOWER__TELEMETRY__FORMAT", "json");
    command
}

impl Process {
    /// Starts a tower, and waits until it says where it listens.
    fn start(site: &Site) -> Self {
        let mut child = command(site).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let log: serde_json::Value = serde_json::from_str(&line).ok()?;
                (log["message"] == "listening").then(|| log["address"].as_str().unwrap().to_owned())
            })
            .expect("the tower says where it listens");
        // Reads on, so that the tower never waits for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            uri: format!("http://{address}"),
        }
    }

    async fn client(&self) -> EventServiceClient<Channel> {
        EventServiceClient::connect(self.uri.clone()).await.unwrap()
    }

    /// Probes until the tower serves events.
    fn serves_events(&self, site: &Site) {
        let serves = |_| {
            let probe = self.health(site, "twotower.v1.EventService");
            probe.status.success()
        };
        assert!((0..500).any(serves), "the tower does not serve events");
    }

    fn health(&self, site: &Site, service: &str) -> Output {
        command(site)
            .env(
                "USER_TOWER__SERVER__LISTEN",
                self.uri.trim_start_matches("http://"),
            )
            .args(["health", service])
            .output()
            .unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL, which nothing can handle.
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Kills a tower while four callers record; returns how many events each had acknowledged.
async fn record_until_killed(site: &Site, from: [i64; 4]) -> [i64; 4] {
    let process = Process::start(site);
    let mut callers = Vec::new();
    for (caller, from) in from.into_iter().enumerate() {
        let mut client = process.client().await;
        callers.push(tokio::spawn(async move {
            let user = format!("user-{caller}");
            let mut next = from;
            loop {
                let request = proto::v1::RecordEventsRequest {
                    events: vec![event(&user, next + 1, "a", next as u64 + 1)],
                    members_epoch: 0,
                };
                // The first may be one that was committed but not acknowledged before the kill.
                if client.record_events(request).await.is_err() {
                    return next;
                }
                next += 1;
            }
        }));
    }
    let mut watcher = process.client().await;
    let enough = async {
        loop {
            let request = GetUserRequest {
                user_id: "user-0".to_owned(),
                newest: 1,
                members_epoch: 0,
            };
            let user = watcher.get_user(request).await.unwrap().into_inner();
            if user.seen_items as i64 >= from[0] + 40 {
                return;
            }
        }
    };
    tokio::time::timeout(crate::house::PATIENCE, enough)
        .await
        .unwrap();
    drop(process);
    let mut acknowledged = [0; 4];
    for (caller, task) in callers.into_iter().enumerate() {
        acknowledged[caller] = task.await.unwrap();
    }
    acknowledged
}

#[tokio::test]
async fn an_acknowledged_event_survives_kill_9_and_is_there_once() {
    let mut site = Site::new();
    site.config.history.keep = 1_000;
    let mut acknowledged = [0; 4];
    for _ in 0..4 {
        acknowledged = record_until_killed(&site, acknowledged).await;
    }
    assert!(acknowledged[0] >= 4 * 39, "{acknowledged:?}");

    let process = Process::start(&site);
    let mut client = process.client().await;
    for (caller, acknowledged) in acknowledged.into_iter().enumerate() {
        let request = GetUserRequest {
            user_id: format!("user-{caller}"),
            newest: 200,
            members_epoch: 0,
        };
        let user = client.get_user(request).await.unwrap().into_inner();
        // At most one event was committed whose acknowledgement the kill swallowed.
        let present = user.seen_items as i64;
        assert!(
            (acknowledged..=acknowledged + 1).contains(&present),
            "{present} of {acknowledged}"
        );
        let times: Vec<i64> = user.history.iter().map(|event| event.time).collect();
        let expected: Vec<i64> = (present - times.len() as i64 + 1..=present).collect();
        assert_eq!(times, expected);
        assert_eq!(times.len() as i64, present.min(200));
    }
}

#[tokio::test]
async fn a_second_tower_on_the_same_history_refuses_to_start() {
    let site = Site::new();
    let first = Process::start(&site);
    // It says where it listens before it opens the history; once it serves events, it has it.
    first.serves_events(&site);
    let second = command(&site).output().unwrap();
    let complaint = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success());
    assert!(
        complaint.contains("history.redb is open in another process"),
        "{complaint}"
    );
}

#[tokio::test]
async fn a_probe_exits_with_the_answer() {
    let site = Site::new();
    let process = Process::start(&site);
    process.serves_events(&site);
    let not_serving = process.health(&site, "twotower.v1.UserTowerService");
    assert_eq!(not_serving.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&not_serving.stderr).contains("NOT_SERVING"));
    assert_eq!(process.health(&site, "nobody").status.code(), Some(1));
}

#[tokio::test]
async fn the_command_line_imports_a_dataset() {
    let site = Site::new();
    let process = Process::start(&site);
    let line = "1,3,rating,4,100,x\n".to_owned();
    let data = dataset(site.dir.path(), &["1"], &[line]);
    let mut import = command(&site);
    import
        .args(["import", "--address", &process.uri, "--data"])
        .arg(&data);
    let done = import.output().unwrap();
    let log = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        done.status.success() && log.contains("\"recorded\":1"),
        "{log}"
    );
}

#[test]
fn an_unknown_setting_or_a_missing_library_is_named_before_anything_starts() {
    let site = Site::new();
    let unknown = command(&site)
        .env("USER_TOWER__HISTORY__KEPT", "3")
        .output()
        .unwrap();
    check_refusal(&unknown, "history.kept");
    let missing = command(&site)
        .env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so")
        .output()
        .unwrap();
    check_refusal(&missing, "/nowhere/libonnxruntime.so");
    assert!(!Path::new(&site.config.history.path).exists());
}

fn check_refusal(output: &Output, named: &str) {
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{complaint}");
    assert!(complaint.contains(named), "{complaint}");
}

#[test]
fn the_effective_settings_can_be_printed() {
    let site = Site::new();
    let printed = command(&site).arg("--print-config").output().unwrap();
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(text.contains("max_deadline = \"1h\""), "{text}");
    assert!(text.contains("max_streams = 200"), "{text}");
    assert!(text.contains(&site.config.store), "{text}");
}
