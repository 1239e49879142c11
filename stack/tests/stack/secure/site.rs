//! The processes: two item towers, a user tower and a gateway, with certificates, tokens, metrics and a collector of traces.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, LazyLock, Mutex},
};

use encoder::sample::Sample;
use generation::store::Store;
use serde_json::Value;
use tempfile::TempDir;

use crate::house::support::RUNTIME;

/// The items of the catalog.
pub(super) const ITEMS: u64 = 40;

/// One for all tests.
pub(super) static SITE: LazyLock<Site> =
    LazyLock::new(|| std::thread::spawn(Site::start).join().unwrap());

/// The house, its files and what it logged.
pub(super) struct Site {
    pub(super) gateway: Process,
    pub(super) user_tower: Process,
    pub(super) item_towers: Vec<Process>,
    /// What came to the collector.
    pub(super) collector: super::observed::Collector,
    folder: TempDir,
    /// Kept for its input, which ends when this process does.
    watcher: Option<Child>,
}

/// A server in a process of its own.
pub(super) struct Process {
    /// Where it answers.
    pub(super) address: String,
    /// Where it answers operators.
    pub(super) admin: String,
    /// Where it tells its metrics.
    pub(super) metrics: String,
    /// The lines that it logged.
    pub(super) logs: Arc<Mutex<Vec<Value>>>,
    child: Mutex<Child>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// The program `name`, built beside `twotower`.
fn program(name: &str) -> Command {
    let twotower = Path::new(env!("CARGO_BIN_EXE_twotower"));
    let mut command = Command::new(twotower.with_file_name(name));
    command.env_remove("TWOTOWER_AUTHORITY");
    command
}

/// An address that nobody listens at now.
fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

impl Site {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let made = program("twotower").arg("certs").arg(at("certs")).output();
        assert!(made.unwrap().status.success());
        let sample = Sample {
            items: (1..=ITEMS + 2).collect(),
            ..Sample::default()
        };
        let space = sample.write(&at("artifact")).unwrap();
        RUNTIME.block_on(async {
            let store = Store::open(at("store").to_str().unwrap()).unwrap();
            store.put_artifact(&at("artifact"), &space).await.unwrap();
        });
        let lines = (1..=ITEMS).map(|id| format!("{{\"id\":{id},\"title\":\"Item {id}\"}}\n"));
        fs::write(at("items.jsonl"), lines.collect::<String>()).unwrap();

        let collector = super::observed::Collector::start();
        let house = House {
            folder: folder.path(),
            traces: &collector.address,
        };
        let members = "item-tower-0,item-tower-1";
        let item_towers = ["item-tower-0", "item-tower-1"].map(|member| {
            let settings = [("MEMBER", member), ("MEMBERS", members)];
            house.serve("item-tower", &settings)
        });
        let addresses = item_towers.iter().map(|tower| &tower.address);
        let addresses: Vec<_> = addresses.map(|at| format!("https://{at}")).collect();
        let addresses = addresses.join(",");
        house.index(&addresses);
        let history = at("history.redb");
        let settings = [("HISTORY__PATH", history.to_str().unwrap())];
        let user_tower = house.serve("user-tower", &settings);
        let users = format!("https://{}", user_tower.address);
        let settings = [
            ("ITEM_TOWERS", addresses.as_str()),
            ("USER_TOWERS", &users),
            ("TRAFFIC__SERVE", "true"),
        ];
        let gateway = house.serve("gateway", &settings);
        let mut site = Self {
            gateway,
            user_tower,
            item_towers: item_towers.into(),
            collector,
            folder,
            watcher: None,
        };
        site.watcher = Some(site.watch());
        site.until_it_serves();
        site
    }

    /// Ends the processes and removes their files when this process ends: what is static is never dropped.
    fn watch(&self) -> Child {
        let pid = |process: &Process| process.child.lock().unwrap().id().to_string();
        Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"$@\"; rm -rf \"$0\""])
            .arg(self.folder.path())
            .args(self.processes().map(pid))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn until_it_serves(&self) {
        let serves = |_| {
            let mut probe = program("gateway");
            identify(&mut probe, "GATEWAY", &self.certs(), "operator");
            let probe = probe
                .env("GATEWAY__SERVER__LISTEN", &self.gateway.address)
                .args(["health", "twotower.v1.RecallService"])
                .output();
            probe.unwrap().status.success()
        };
        assert!((0..500).any(serves), "the gateway does not serve");
    }

    /// The directory of the certificates.
    pub(super) fn certs(&self) -> PathBuf {
        self.folder.path().join("certs")
    }

    /// A token of a caller with `role`, in a file.
    pub(super) fn token_file(&self, role: &str) -> PathBuf {
        let file = self.folder.path().join(format!("{role}.token"));
        fs::write(&file, self.token(role)).unwrap();
        file
    }

    /// A token of a caller with `role`.
    pub(super) fn token(&self, role: &str) -> String {
        let signed = program("twotower")
            .args(["token", "--subject", "a-test", "--role", role, "--key"])
            .arg(self.certs().join("token.key"))
            .output()
            .unwrap();
        assert!(signed.status.success());
        String::from_utf8(signed.stdout).unwrap().trim().to_owned()
    }

    /// A command of the user tower, as `name`.
    pub(super) fn user_tower_command(&self, name: &str) -> Command {
        let mut command = program("user-tower");
        identify(&mut command, "USER_TOWER", &self.certs(), name);
        command
            .env("USER_TOWER__SERVER__LISTEN", &self.user_tower.address)
            .env("USER_TOWER__SERVER__ADMIN_LISTEN", &self.user_tower.admin);
        command
    }

    pub(super) fn processes(&self) -> impl Iterator<Item = &Process> {
        let towers = self.item_towers.iter();
        towers.chain([&self.user_tower, &self.gateway])
    }
}

/// Tells a program whose certificate it has.
fn identify(command: &mut Command, prefix: &str, certs: &Path, name: &str) {
    let file = |name: String| certs.join(name);
    command
        .env(
            format!("{prefix}__IDENTITY__CERTIFICATE"),
            file(format!("{name}.pem")),
        )
        .env(
            format!("{prefix}__IDENTITY__KEY"),
            file(format!("{name}.key")),
        )
        .env(
            format!("{prefix}__IDENTITY__AUTHORITY"),
            file("authority.pem".to_owned()),
        );
}

/// What all processes share.
struct House<'a> {
    folder: &'a Path,
    traces: &'a str,
}

impl House<'_> {
    /// Starts a server, and waits until it says where it listens.
    fn serve(&self, name: &str, settings: &[(&str, &str)]) -> Process {
        let prefix = name.to_uppercase().replace('-', "_");
        let certs = self.folder.join("certs");
        let (admin, metrics) = (free(), free());
        let mut command = program(name);
        identify(&mut command, &prefix, &certs, name);
        for (key, value) in settings.iter().chain(&[
            ("STORE", self.folder.join("store").to_str().unwrap()),
            (
                "IDENTITY__TOKEN_KEYS",
                certs.join("tokens").to_str().unwrap(),
            ),
            ("SERVER__LISTEN", "127.0.0.1:0"),
            ("SERVER__ADMIN_LISTEN", admin.as_str()),
            ("SERVER__SLOW_CALL", "0s"),
            ("TELEMETRY__METRICS", metrics.as_str()),
            ("TELEMETRY__TRACES", self.traces),
            ("TELEMETRY__TRACES_SHARE", "1.0"),
            ("TELEMETRY__FORMAT", "json"),
        ]) {
            command.env(format!("{prefix}__{key}"), value);
        }
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let logs = Arc::new(Mutex::new(Vec::new()));
        let address = lines.by_ref().find_map(|line| {
            let log: Value = serde_json::from_str(&line).unwrap_or_default();
            let listening = log["message"] == "listening";
            let address = listening.then(|| log["address"].as_str().unwrap().to_owned());
            logs.lock().unwrap().push(log);
            address
        });
        let address = address.unwrap_or_else(|| panic!("{name} ended: {:?}", logs.lock()));
        let kept = Arc::clone(&logs);
        std::thread::spawn(move || {
            lines.for_each(|line| {
                // A line that is no JSON is none that a machine can read.
                let log = serde_json::from_str(&line).unwrap_or(Value::String(line));
                kept.lock().unwrap().push(log);
            });
        });
        Process {
            address,
            admin,
            metrics,
            logs,
            child: Mutex::new(child),
        }
    }

    /// Makes and publishes a generation, by the job as it is run.
    fn index(&self, item_towers: &str) {
        let mut command = program("index-builder");
        identify(
            &mut command,
            "INDEX_BUILDER",
            &self.folder.join("certs"),
            "index-builder",
        );
        let done = command
            .env("INDEX_BUILDER__STORE", self.folder.join("store"))
            .env("INDEX_BUILDER__CATALOG", self.folder.join("items.jsonl"))
            .env("INDEX_BUILDER__WORK", self.folder.join("work"))
            .env("INDEX_BUILDER__ITEM_TOWERS", item_towers)
            .env("INDEX_BUILDER__SHARDS", "2")
            .env("INDEX_BUILDER__VERIFY__HR_FLOOR", "0")
            .arg("run")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
    }
}
