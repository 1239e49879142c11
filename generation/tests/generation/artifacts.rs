//! Artifacts are put whole, and again only where they differ.

use std::fs;

use crate::fixture::{House, SPACE};

fn source() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("golden/test_data_set_0")).unwrap();
    fs::write(dir.path().join("artifact.json"), "{}").unwrap();
    fs::write(dir.path().join("golden/test_data_set_0/input_0.pb"), "x").unwrap();
    dir
}

#[tokio::test]
async fn an_artifact_is_copied_with_its_folders() {
    let (house, source) = (House::new(), source());
    let space = "a".repeat(32);
    for _ in 0..2 {
        house
            .store
            .put_artifact(source.path(), &space)
            .await
            .unwrap();
    }
    let dir = house.store.artifact_dir(&space).unwrap();
    assert_eq!(
        fs::read(dir.join("golden/test_data_set_0/input_0.pb")).unwrap(),
        b"x"
    );
    assert_eq!(house.store.artifacts().await.unwrap(), [SPACE, &space]);
    assert_eq!(house.staged(), 0);
}

#[tokio::test]
async fn a_report_that_came_later_replaces_the_artifact() {
    let (house, source) = (House::new(), source());
    let space = "a".repeat(32);
    let put = async || house.store.put_artifact(source.path(), &space).await;
    put().await.unwrap();
    fs::write(source.path().join("artifact.json"), "{\"report\":1}").unwrap();
    fs::write(source.path().join("report.json"), "{\"hr@10\":0.3}").unwrap();
    put().await.unwrap();

    let dir = house.store.artifact_dir(&space).unwrap();
    let read = |file: &str| fs::read_to_string(dir.join(file)).unwrap();
    assert_eq!(read("artifact.json"), "{\"report\":1}");
    assert_eq!(read("report.json"), "{\"hr@10\":0.3}");
    assert_eq!(read("golden/test_data_set_0/input_0.pb"), "x");
    assert_eq!(house.store.artifacts().await.unwrap(), [SPACE, &space]);
    assert_eq!(house.staged(), 0);
}

#[tokio::test]
async fn an_artifact_with_a_link_is_refused_whole() {
    let (house, source) = (House::new(), source());
    std::os::unix::fs::symlink("/etc/hostname", source.path().join("model.onnx")).unwrap();
    let space = "a".repeat(32);
    let cause = house
        .store
        .put_artifact(source.path(), &space)
        .await
        .unwrap_err()
        .to_string();
    assert!(cause.contains("model.onnx: kind is a link"), "{cause}");
    assert!(!house.store.artifact_dir(&space).unwrap().exists());
    assert_eq!(house.staged(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_put_the_same_artifact_at_once_both_succeed() {
    let (house, source) = (House::new(), source());
    let puts: Vec<_> = (0..6)
        .map(|_| {
            let (store, dir) = (house.store.clone(), source.path().to_owned());
            tokio::spawn(async move { store.put_artifact(&dir, &"b".repeat(32)).await })
        })
        .collect();
    for put in puts {
        put.await.unwrap().unwrap();
    }
    assert_eq!(house.staged(), 0);
}
