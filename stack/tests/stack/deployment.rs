//! What compose.yaml and the Dockerfile name exists, and every sample config is one that its binary takes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde::{Deserialize, de::DeserializeOwned};

mod monitoring;

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
    volumes: BTreeMap<String, Option<serde_json::Value>>,
}

#[derive(Deserialize)]
struct Service {
    image: String,
    #[serde(default)]
    command: Vec<String>,
    user: String,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    tmpfs: Vec<String>,
    #[serde(default)]
    cap_drop: Vec<String>,
    #[serde(default)]
    cap_add: Vec<String>,
    #[serde(default)]
    security_opt: Vec<String>,
    #[serde(default)]
    privileged: bool,
    mem_limit: Option<String>,
    pids_limit: Option<u32>,
    volumes: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    depends_on: BTreeMap<String, Dependency>,
    healthcheck: Option<Healthcheck>,
}

#[derive(Deserialize)]
struct Dependency {
    condition: String,
}

#[derive(Deserialize)]
struct Healthcheck {
    test: Vec<String>,
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn compose() -> Compose {
    yaml("compose.yaml")
}

fn yaml<T: DeserializeOwned>(path: &str) -> T {
    serde_saphyr::from_str(&fs::read_to_string(workspace().join(path)).unwrap()).unwrap()
}

impl Compose {
    /// The services that run a binary of ours.
    fn ours(&self) -> impl Iterator<Item = (&String, &Service)> {
        self.services
            .iter()
            .filter(|(_, service)| service.image == "twotower:local")
    }
}

/// The binary `name` beside `twotower`; `make test` builds them all first.
fn binary(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_twotower")).with_file_name(name);
    assert!(path.is_file(), "{} is not built", path.display());
    path
}

/// The file that stands at `path` in the image.
fn in_workspace(path: &str) -> PathBuf {
    let below = path
        .strip_prefix("/etc/twotower/")
        .unwrap_or_else(|| panic!("{path} is no file of the image"));
    match below {
        "towers" => workspace().join("onnx/towers"),
        file => workspace().join("deploy").join(file),
    }
}

/// Runs `command` of the image on this machine with the paths of the checkout.
fn run(command: &[String], environment: &BTreeMap<String, String>, more: &[&str]) -> Output {
    let arguments =
        command[1..]
            .iter()
            .map(|argument| match argument.starts_with("/etc/twotower/") {
                true => in_workspace(argument).display().to_string(),
                false => argument.clone(),
            });
    Command::new(binary(&command[0]))
        .args(arguments)
        .args(more)
        .envs(environment)
        .output()
        .unwrap()
}

/// The settings that a service of compose.yaml really runs with.
fn settings(service: &Service) -> toml::Table {
    let printed = run(&service.command, &service.environment, &["--print-config"]);
    assert!(
        printed.status.success(),
        "{}",
        String::from_utf8_lossy(&printed.stderr)
    );
    toml::from_str(&String::from_utf8(printed.stdout).unwrap()).unwrap()
}

fn port(settings: &toml::Table) -> u16 {
    port_of(settings["server"]["listen"].as_str().unwrap())
}

fn port_of(address: &str) -> u16 {
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn every_server_of_compose_takes_its_command_config_and_environment() {
    let compose = compose();
    for name in ["item-tower-0", "item-tower-1", "user-tower-0", "gateway"] {
        let service = &compose.services[name];
        let settings = settings(service);
        assert!(
            settings["store"]
                .as_str()
                .unwrap()
                .starts_with("/var/lib/twotower/"),
            "{name}"
        );
        for published in &service.ports {
            let inside: u16 = published.rsplit_once(':').unwrap().1.parse().unwrap();
            assert_eq!(
                inside,
                port(&settings),
                "{name} publishes a port that it does not listen on"
            );
        }
        if let Some(member) = settings.get("member") {
            assert_eq!(member.as_str(), Some(name), "a member is named as its host");
        }
    }
}

#[test]
fn every_address_in_the_configs_is_a_service_that_listens_there() {
    let compose = compose();
    let gateway = settings(&compose.services["gateway"]);
    let builder = fs::read_to_string(workspace().join("deploy/index-builder.toml")).unwrap();
    let builder: toml::Table = toml::from_str(&builder).unwrap();
    let texts = |list: &toml::Value| -> Vec<String> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    };
    let mut addresses = texts(&gateway["item_towers"]);
    addresses.extend(texts(&gateway["user_towers"]));
    addresses.extend(texts(&builder["item_towers"]));
    let seed = &compose.services["seed"].command;
    addresses.extend(
        seed.iter()
            .filter(|argument| argument.starts_with("http://"))
            .cloned(),
    );

    assert_eq!(addresses.len(), 8);
    for address in addresses {
        let (host, expected) = address
            .strip_prefix("http://")
            .unwrap()
            .rsplit_once(':')
            .unwrap();
        let listens = port(&settings(&compose.services[host]));
        assert_eq!(expected.parse::<u16>().unwrap(), listens, "{address}");
    }
}

#[test]
fn every_health_probe_is_one_that_its_binary_knows() {
    let known: Vec<String> = {
        let set = proto_services();
        assert!(set.len() > 5);
        set
    };
    for (name, service) in compose().ours() {
        let Some(probe) = &service.healthcheck else {
            continue;
        };
        assert_eq!(probe.test[0], "CMD");
        assert_eq!(probe.test[1], service.command[0], "{name} probes itself");
        assert!(
            known.contains(probe.test.last().unwrap()),
            "{name} probes {:?}",
            probe.test.last()
        );
        // Nothing listens here: the probe must run, and fail.
        let environment = BTreeMap::from([(
            format!(
                "{}__SERVER__LISTEN",
                service.command[0].to_uppercase().replace('-', "_")
            ),
            "127.0.0.1:1".to_owned(),
        )]);
        let probed = run(&probe.test[1..], &environment, &[]);
        assert_eq!(
            probed.status.code(),
            Some(1),
            "{}",
            String::from_utf8_lossy(&probed.stderr)
        );
    }
}

#[test]
fn every_job_of_compose_is_a_command_that_exists() {
    let compose = compose();
    let help = run(
        &compose.services["seed"].command,
        &BTreeMap::new(),
        &["--help"],
    );
    assert!(
        help.status.success(),
        "{}",
        String::from_utf8_lossy(&help.stderr)
    );
    let builder = &compose.services["index-builder"];
    let printed = run(&builder.command, &builder.environment, &["--print-config"]);
    assert!(
        printed.status.success(),
        "{}",
        String::from_utf8_lossy(&printed.stderr)
    );
}

#[test]
fn containers_are_confined_and_bounded() {
    let compose = compose();
    assert!(compose.services.len() >= 8);
    for (name, service) in &compose.services {
        let user: u32 = service.user.parse().unwrap();
        assert_ne!(user, 0, "{name} runs as root");
        assert!(service.read_only, "{name} may write to its image");
        assert!(
            service.tmpfs.iter().all(|mount| mount.contains(":size=")),
            "{name} may fill the memory by files"
        );
        assert_eq!(service.cap_drop, ["ALL"], "{name} has capabilities");
        assert!(
            service.cap_add.is_empty() && !service.privileged,
            "{name} has capabilities"
        );
        assert!(
            service
                .security_opt
                .contains(&"no-new-privileges:true".to_owned()),
            "{name} may gain rights"
        );
        let memory = service.mem_limit.as_deref().unwrap_or("");
        assert!(memory.ends_with('g'), "{name} may take all memory");
        assert!(
            service.pids_limit.is_some_and(|most| most > 0),
            "{name} may start any number of processes"
        );
        for published in &service.ports {
            assert!(
                published.starts_with("127.0.0.1:"),
                "{name} can be reached from elsewhere at {published}"
            );
        }
    }
}

#[test]
fn containers_run_as_nobody_in_particular_on_the_shared_volume() {
    let compose = compose();
    for (name, service) in compose.ours() {
        assert_eq!(service.user, "10001", "{name}");
        assert_eq!(service.volumes, ["store:/var/lib/twotower"], "{name}");
    }
    for (name, service) in &compose.services {
        for volume in &service.volumes {
            let source = volume.split_once(':').unwrap().0;
            let file = source.strip_prefix("./").map(|at| workspace().join(at));
            assert!(
                match file {
                    Some(file) => file.exists() && volume.ends_with(":ro"),
                    None => compose.volumes.contains_key(source),
                },
                "{name}: {volume}"
            );
        }
        for (other, dependency) in &service.depends_on {
            let probed = compose.services[other].healthcheck.is_some();
            assert!(
                probed || dependency.condition != "service_healthy",
                "{name} waits for the health of {other}"
            );
        }
    }
}

#[test]
fn the_dockerfile_copies_what_exists_and_what_compose_runs() {
    let dockerfile = fs::read_to_string(workspace().join("Dockerfile")).unwrap();
    for (name, service) in compose().ours() {
        assert!(
            dockerfile.contains(&format!("/out/{} ", service.command[0])),
            "{name} runs a binary that the image lacks"
        );
    }
    for line in dockerfile.lines().filter(|line| {
        line.starts_with("COPY ") && !line.contains("--from") && !line.contains(" . ")
    }) {
        let source = line
            .split_whitespace()
            .nth(1)
            .unwrap()
            .trim_end_matches("/*.toml");
        assert!(workspace().join(source).exists(), "{line}");
    }
}

fn proto_services() -> Vec<String> {
    use prost::Message as _;
    let set = prost_types::FileDescriptorSet::decode(proto::DESCRIPTORS).unwrap();
    let services = set.file.iter().flat_map(|file| {
        file.service
            .iter()
            .map(|service| format!("{}.{}", file.package(), service.name()))
    });
    services.collect()
}

/// The setting at `path` of a binary's default config.
fn default_of(defaults: &str, path: &str) -> String {
    let mut value = toml::Value::Table(toml::from_str(defaults).unwrap());
    for key in path.split('.') {
        value = value[key].clone();
    }
    value.as_str().unwrap().to_owned()
}

#[test]
fn the_defaults_of_all_binaries_fit_together() {
    for defaults in [
        gateway::config::DEFAULTS,
        user_tower::config::DEFAULTS,
        item_tower::config::DEFAULTS,
        index_builder::config::DEFAULTS,
    ] {
        assert_eq!(default_of(defaults, "store"), "var/store");
    }
    assert_eq!(
        default_of(user_tower::config::DEFAULTS, "history.path"),
        "var/history.redb"
    );
    assert_eq!(
        default_of(index_builder::config::DEFAULTS, "catalog"),
        "var/data/items.jsonl"
    );
}
