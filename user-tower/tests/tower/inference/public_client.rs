//! A client of model servers that knows nothing of this repository.

use std::{path::Path, process::Command};

use encoder::sample::Sample;

use crate::house::{PATIENCE, Site, USERS, check_close, expected};

#[tokio::test]
async fn a_public_client_of_model_servers_works_unchanged() {
    let site = Site::new();
    let version = site.publish(&Sample::default()).await;
    let tower = site.start(USERS).await;
    let address = tower.uri.trim_start_matches("http://").to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = crate_dir.with_file_name(".venv").join("bin/python");
        assert!(
            python.exists(),
            "{} is missing: run make test, which sets it up",
            python.display()
        );
        Command::new(python)
            .arg(crate_dir.join("tests/tower/inference.py"))
            .arg(address)
            .output()
            .unwrap()
    });
    let asked = tokio::time::timeout(2 * PATIENCE, asked).await;
    let output = asked.unwrap().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();

    for (what, is) in [
        ("live", true),
        ("ready", true),
        ("model_ready", true),
        ("other_ready", false),
    ] {
        assert_eq!(found[what], is, "{what}");
    }
    assert_eq!(found["server"], "twotower user-tower");
    assert_eq!(found["metadata"]["platform"], "onnxruntime_onnx");
    assert_eq!(found["metadata"]["versions"][0], version);
    assert_eq!(found["metadata"]["inputs"][0]["shape"][0], "-1");
    assert_eq!(
        (&found["id"], &found["version"]),
        (&"42".into(), &version.into())
    );
    assert_eq!(found["shape"], serde_json::json!([1, 8]));
    let vector: Vec<f32> = serde_json::from_value(found["vector"].clone()).unwrap();
    check_close(&vector, &expected(&[3, 4]));
    assert_eq!(found["refused"][0], "StatusCode.INVALID_ARGUMENT");
    let message = found["refused"][1].as_str().unwrap();
    assert!(
        message.contains("input `history` is -4, it must be 0 to 21"),
        "{message}"
    );
}
