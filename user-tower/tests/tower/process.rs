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
        .env("USER_TOWER__HISTORY__KEEP", "1000")
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

/// Kills a tower while four callers record, each for a user of its own, after one of them has `enough` events acknowledged;
/// returns how many of each user's were.
async fn record_until_killed(site: &Site, cycle: usize, enough: i64) -> Vec<(String, i64)> {
    let process = Process::start(site);
    let (tell, mut told) = tokio::sync::watch::channel(0);
    let mut callers = Vec::new();
    for caller in 0..4 {
        let (mut client, tell) = (process.client().await, tell.clone());
        callers.push(tokio::spawn(async move {
            let user = format!("{cycle}-{caller}");
            let mut acknowledged = 0;
            loop {
                let time = acknowledged + 1;
                let request = proto::v1::RecordEventsRequest {
                    events: vec![event(&user, time, "a", time as u64)],
                    members_epoch: 0,
                };
                if client.record_events(request).await.is_err() {
                    return (user, acknowledged);
                }
                acknowledged = time;
                tell.send_replace(acknowledged);
            }
        }));
    }
    let reached = told.wait_for(|acknowledged| *acknowledged >= enough);
    tokio::time::timeout(crate::house::PATIENCE, reached)
        .await
        .unwrap()
        .unwrap();
    drop(process);
    let mut acknowledged = Vec::new();
    for task in callers {
        acknowledged.push(task.await.unwrap());
    }
    acknowledged
}

/// A number that the environment gives, else a small one.
fn number(name: &str, default: i64) -> i64 {
    std::env::var(name).map_or(default, |number| number.parse().unwrap())
}

/// As many kills as `TWOTOWER_TEST_KILLS` says, each after `TWOTOWER_TEST_KILL_EVENTS` of a caller, else a few; the file that
/// `TWOTOWER_TEST_KILLS_REPORT` names is told how many events were acknowledged, lost, and there twice.
#[tokio::test]
async fn an_acknowledged_event_survives_kill_9_and_is_there_once() {
    let kills = number("TWOTOWER_TEST_KILLS", 4);
    let enough = number("TWOTOWER_TEST_KILL_EVENTS", 40);
    let site = Site::new();
    let mut acknowledged = Vec::new();
    for cycle in 0..kills {
        acknowledged.extend(record_until_killed(&site, cycle as usize, enough).await);
    }

    let process = Process::start(&site);
    let mut client = process.client().await;
    let (mut all, mut lost, mut twice) = (0, 0, 0);
    for (user, acknowledged) in acknowledged {
        let request = GetUserRequest {
            user_id: user,
            newest: 1_000,
            members_epoch: 0,
        };
        let user = client.get_user(request).await.unwrap().into_inner();
        let times: Vec<i64> = user.history.iter().map(|event| event.time).collect();
        let different: std::collections::BTreeSet<i64> = times.iter().copied().collect();
        all += acknowledged;
        lost += (1..=acknowledged)
            .filter(|time| !different.contains(time))
            .count();
        twice += times.len() - different.len();
        // At most one event was committed whose acknowledgement the kill swallowed.
        let present = times.len() as i64;
        assert!(present <= acknowledged + 1, "{present} of {acknowledged}");
        assert_eq!(user.seen_items as i64, present);
    }
    if let Ok(report) = std::env::var("TWOTOWER_TEST_KILLS_REPORT") {
        std::fs::write(report, format!("{all} {lost} {twice}")).unwrap();
    }
    assert!(all >= kills * enough);
    assert_eq!((lost, twice), (0, 0));
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
