//! Artifacts are put whole, and again only where they differ.

use std::{fs, path::Path};

use generation::error::Error;

use crate::fixture::{Place, SPACE, in_both};

in_both! {
    an_artifact_is_put_with_its_folders,
    a_report_that_came_later_replaces_the_artifact,
    an_artifact_with_a_link_is_refused_whole,
    an_artifact_that_nobody_put_is_missing,
    two_that_put_the_same_artifact_at_once_both_succeed,
}

const GOLDEN: &str = "golden/test_data_set_0/input_0.pb";

/// A directory of one file, which is listed.
fn source() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("golden/test_data_set_0")).unwrap();
    fs::write(dir.path().join(GOLDEN), "x").unwrap();
    list(dir.path(), &[GOLDEN], None);
    dir
}

/// Writes the listing of a directory.
fn list(dir: &Path, files: &[&str], report: Option<&str>) {
    let entry = |file: &&str| {
        let bytes = fs::read(dir.join(file)).unwrap();
        serde_json::json!({"bytes": bytes.len(), "blake3": blake3::hash(&bytes).to_hex().as_str()})
    };
    let files: serde_json::Map<_, _> = files
        .iter()
        .map(|file| ((*file).to_owned(), entry(file)))
        .collect();
    let report = report.as_ref().map(entry);
    let listing = serde_json::json!({"files": files, "report": report});
    fs::write(dir.join("artifact.json"), listing.to_string()).unwrap();
}

async fn an_artifact_is_put_with_its_folders(place: Place) {
    let (house, source) = (place.house().await, source());
    let space = "a".repeat(32);
    for _ in 0..2 {
        let put = house.store.put_artifact(source.path(), &space).await;
        put.unwrap();
    }
    let dir = house.elsewhere().fetch_artifact(&space).await.unwrap();
    assert_eq!(fs::read(dir.join(GOLDEN)).unwrap(), b"x");
    assert_eq!(house.store.artifacts().await.unwrap(), [SPACE, &space]);
    assert!(house.store.has_artifact(&space).await.unwrap());
}

async fn a_report_that_came_later_replaces_the_artifact(place: Place) {
    let (house, source) = (place.house().await, source());
    let space = "a".repeat(32);
    let put = async || house.store.put_artifact(source.path(), &space).await;
    put().await.unwrap();
    house.store.fetch_artifact(&space).await.unwrap();
    fs::write(source.path().join("report.json"), "{\"hr@10\":0.3}").unwrap();
    list(source.path(), &[GOLDEN], Some("report.json"));
    put().await.unwrap();

    let dir = house.store.fetch_artifact(&space).await.unwrap();
    for file in ["artifact.json", "report.json", GOLDEN] {
        let (found, put) = (dir.join(file), source.path().join(file));
        assert_eq!(fs::read(found).unwrap(), fs::read(put).unwrap(), "{file}");
    }
    assert_eq!(house.store.artifacts().await.unwrap(), [SPACE, &space]);
    assert_eq!(house.staged(), 0);
}

async fn an_artifact_with_a_link_is_refused_whole(place: Place) {
    let (house, source) = (place.house().await, source());
    std::os::unix::fs::symlink("/etc/hostname", source.path().join("model.onnx")).unwrap();
    list(source.path(), &[GOLDEN, "model.onnx"], None);
    let space = "a".repeat(32);
    let put = house.store.put_artifact(source.path(), &space).await;
    let cause = put.unwrap_err().to_string();
    assert!(cause.contains("model.onnx: kind is a link"), "{cause}");
    assert!(!house.store.has_artifact(&space).await.unwrap());
}

async fn an_artifact_that_nobody_put_is_missing(place: Place) {
    let house = place.house().await;
    let space = "a".repeat(32);
    let cause = house.store.fetch_artifact(&space).await.unwrap_err();
    assert_eq!(
        cause.to_string(),
        format!("artifact {space} is not in the store")
    );
    let cause = house.store.fetch_artifact("../x").await.unwrap_err();
    assert!(matches!(cause, Error::Name { .. }), "{cause}");
}

async fn two_that_put_the_same_artifact_at_once_both_succeed(place: Place) {
    let (house, source) = (place.house().await, source());
    let puts: Vec<_> = (0..6)
        .map(|_| {
            let (store, dir) = (house.store.clone(), source.path().to_owned());
            tokio::spawn(async move { store.put_artifact(&dir, &"b".repeat(32)).await })
        })
        .collect();
    for put in puts {
        put.await.unwrap().unwrap();
    }
    assert!(house.store.has_artifact(&"b".repeat(32)).await.unwrap());
}
