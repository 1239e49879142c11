//! Public clients and the callers in examples/ drive the real servers.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::house::support::SMALL;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// Runs a command and returns what it prints.
fn printed(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Runs an example with the Python that `make test` sets up.
fn python(script: &str, arguments: &[&str]) -> String {
    let python = workspace().join(".venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run make test, which sets it up",
        python.display()
    );
    printed(
        Command::new(python)
            .arg(workspace().join("examples/python").join(script))
            .args(arguments),
    )
}

#[test]
fn an_unmodified_client_lists_services_checks_health_and_gets_recommendations() {
    let user = &SMALL.dataset().users[4].id;
    let text = python("public_client.py", &[&SMALL.address, user]);
    for service in [
        "grpc.health.v1.Health",
        "twotower.v1.CatalogService",
        "twotower.v1.EventService",
        "twotower.v1.GenerationService",
        "twotower.v1.RecallService",
    ] {
        assert!(text.contains(&format!("service {service}\n")), "{text}");
    }
    assert!(
        text.contains("health (all) SERVING\nhealth twotower.v1.RecallService SERVING\n"),
        "{text}"
    );
    assert_eq!(text.matches("\ncandidate ").count(), 5, "{text}");
    assert!(
        text.contains(&format!("coverage 1.0 generation {}", SMALL.generation)),
        "{text}"
    );
}

#[test]
fn the_python_and_the_rust_example_print_the_same_recommendations() {
    let user = SMALL.dataset().users[4].id.as_str();
    let rust = Path::new(env!("CARGO_BIN_EXE_twotower")).with_file_name("examples/recall");
    let rust = printed(Command::new(rust).args([SMALL.address.as_str(), user]));
    assert_eq!(rust.lines().count(), 5, "{rust}");
    assert_eq!(rust, python("recall.py", &[&SMALL.address, user]));
}

#[test]
fn the_python_client_does_all_that_it_says_against_a_real_gateway() {
    let package = workspace().join("clients/python");
    let mut tests = Command::new(workspace().join(".venv/bin/python"));
    tests
        .args(["-m", "unittest", "discover", "-s", "tests"])
        .current_dir(&package)
        .env("PYTHONPATH", package.join("src"))
        .env("TWOTOWER_ADDRESS", &SMALL.address)
        .env("TWOTOWER_USER", &SMALL.dataset().users[4].id);
    printed(&mut tests);
}

/// Runs `twotower` as a client of the gateway.
fn twotower(arguments: &[&str]) -> String {
    let gateway = format!("http://{}", SMALL.address);
    printed(
        Command::new(env!("CARGO_BIN_EXE_twotower"))
            .args(arguments)
            .args(["--gateway", &gateway]),
    )
}

#[test]
fn the_command_line_shows_people_tables_and_programs_json() {
    let user = SMALL.dataset().users[5].id.as_str();
    let item = SMALL.dataset().items[7].id.to_string();
    let table = twotower(&["recall", "--user", user, "--k", "3"]);
    assert!(table.contains(&SMALL.generation), "{table}");
    let json = twotower(&["recall", "--user", user, "--k", "3", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let best = json["candidates"][0]["id"].as_u64().unwrap().to_string();
    assert!(table.contains(&best), "{table}");
    assert_eq!(json["candidates"].as_array().unwrap().len(), 3);

    let explained = twotower(&["explain", "--user", user, &best]);
    assert!(explained.contains("rank 1"), "{explained}");
    let similar = twotower(&["similar", &item, "--k", "4", "--json"]);
    let similar: serde_json::Value = serde_json::from_str(&similar).unwrap();
    assert_eq!(similar["candidates"].as_array().unwrap().len(), 4);
    let token = json["recall_token"].as_str().unwrap();
    let replayed = twotower(&["replay", "--user", user, "--k", "3", token, "--json"]);
    let replayed: serde_json::Value = serde_json::from_str(&replayed).unwrap();
    assert_eq!(replayed["identical"], true);
    let recorded = twotower(&["record", "--user", "by-hand", "--item", &item]);
    assert!(recorded.contains("recorded"), "{recorded}");
    assert!(twotower(&["user", "--user", "by-hand"]).contains(&item));
    assert!(twotower(&["generations"]).contains(&SMALL.generation));
    twotower(&["score", "--user", user, &item]);
    twotower(&["verdict"]);
}

#[test]
fn a_missing_onnxruntime_library_is_one_clear_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let tower = Path::new(env!("CARGO_BIN_EXE_twotower")).with_file_name("item-tower");
    let output = Command::new(tower)
        .env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so")
        .env("ITEM_TOWER__STORE", folder.path())
        .env("ITEM_TOWER__SERVER__LISTEN", "127.0.0.1:0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("/nowhere/libonnxruntime.so"), "{said}");
}
