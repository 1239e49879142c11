//! A stranger's directory is checked, sealed and put in the store; a bad one is refused with what is wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use encoder::{
    artifact::Artifact,
    messages::{ModelProto, TensorProto},
    sample::{Reads, Sample},
};
use generation::store::Store;
use onnx::{adopt, check};
use prost::Message as _;

/// A directory as a stranger hands it over: no artifact.json.
fn foreign() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    Sample::default().write(dir.path()).unwrap();
    fs::remove_file(dir.path().join("artifact.json")).unwrap();
    dir
}

async fn adopt_into_new_store(dir: &Path) -> Result<(String, Artifact), String> {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().to_str().unwrap()).unwrap();
    match adopt::adopt(dir, "stranger 1.0", &store, None).await {
        Ok((space, _)) => {
            let artifact = Artifact::open(&store.artifact_dir(&space).unwrap()).unwrap();
            Ok((space, artifact))
        }
        Err(cause) => {
            assert!(store.artifacts().await.unwrap().is_empty());
            Err(cause.to_string())
        }
    }
}

#[tokio::test]
async fn a_strangers_directory_is_adopted_and_stays_as_it_was() {
    let dir = foreign();
    let (space, artifact) = adopt_into_new_store(dir.path()).await.unwrap();
    assert_eq!(artifact.space(), space);
    assert_eq!(artifact.producer(), "stranger 1.0");
    assert!(!dir.path().join("artifact.json").exists());
}

#[tokio::test]
async fn a_tower_that_reads_item_vectors_is_adopted_and_judged_by_its_own_item_tower() {
    let dir = tempfile::tempdir().unwrap();
    let sample = Sample {
        reads: Reads::Vectors,
        ..Sample::default()
    };
    sample.write(dir.path()).unwrap();
    fs::remove_file(dir.path().join("artifact.json")).unwrap();
    let (_, artifact) = adopt_into_new_store(dir.path()).await.unwrap();
    assert!(artifact.signature().reads_item_vectors());

    let path = dir.path().join("item_tower.onnx");
    let mut model = ModelProto::decode(fs::read(&path).unwrap().as_slice()).unwrap();
    let table = &mut model.graph.as_mut().unwrap().initializer[0];
    *table = TensorProto::f32s("table", &[22, 8], &[0.5; 22 * 8]);
    fs::write(&path, model.encode_to_vec()).unwrap();
    let refusal = adopt_into_new_store(dir.path()).await.unwrap_err();
    for set in ["golden/test_data_set_0", "golden/test_data_set_1"] {
        assert!(refusal.contains(set), "{set}: {refusal}");
    }
}

#[test]
fn an_unsealed_directory_cannot_be_served_yet() {
    let findings = check::check(foreign().path());
    assert_eq!(findings.len(), 1);
    assert!(findings[0].contains("artifact.json"), "{findings:?}");
}

#[test]
fn a_sound_artifact_has_no_findings() {
    let dir = tempfile::tempdir().unwrap();
    Sample::default().write(dir.path()).unwrap();
    assert_eq!(check::check(dir.path()), [""; 0]);
}

#[tokio::test]
async fn a_directory_without_golden_vectors_is_refused() {
    let dir = foreign();
    fs::remove_dir_all(dir.path().join("golden")).unwrap();
    let refusal = adopt_into_new_store(dir.path()).await.unwrap_err();
    assert!(refusal.contains("golden/raw.jsonl"), "{refusal}");
}

#[tokio::test]
async fn all_that_is_wrong_with_a_signature_is_said_at_once() {
    let dir = foreign();
    let path = dir.path().join("signature.json");
    let text = fs::read_to_string(&path).unwrap();
    let wrong = text
        .replace("\"dim\": 8", "\"dim\": 0")
        .replace("\"interests\": 1", "\"interests\": 99");
    fs::write(&path, wrong).unwrap();
    let refusal = adopt_into_new_store(dir.path()).await.unwrap_err();
    assert!(
        refusal.contains("signature.json: dim is 0")
            && refusal.contains("signature.json: interests is 99"),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_table_shorter_than_its_vocabulary_is_found() {
    let dir = foreign();
    let path = dir.path().join("vocabulary/item.id.txt");
    let mut lines = fs::read_to_string(&path).unwrap();
    lines.push_str("777\n");
    fs::write(&path, lines).unwrap();
    let refusal = adopt_into_new_store(dir.path()).await.unwrap_err();
    assert!(
        refusal.contains("the 21 items of the vocabulary: item_tower.onnx"),
        "{refusal}"
    );
    assert!(refusal.contains("histories of all 21 items"), "{refusal}");
}

#[tokio::test]
async fn a_model_that_gives_no_number_for_an_empty_history_is_found() {
    let dir = foreign();
    let path = dir.path().join("user_tower.onnx");
    let mut model = ModelProto::decode(fs::read(&path).unwrap().as_slice()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    // The log of a row of zeros is minus infinity.
    graph.node[2].input = vec!["logged".to_owned(), "bias".to_owned()];
    let mut log = graph.node[2].clone();
    log.op_type = "Log".to_owned();
    log.input = vec!["sum".to_owned()];
    log.output = vec!["logged".to_owned()];
    graph.node.insert(2, log);
    fs::write(&path, model.encode_to_vec()).unwrap();
    let refusal = adopt_into_new_store(dir.path()).await.unwrap_err();
    assert!(refusal.contains("an empty history at batch 1"), "{refusal}");
    assert!(refusal.contains("not a finite number"), "{refusal}");
}

/// Changes a model of a stranger's directory, and returns why it is refused.
async fn refusal_of(file: &str, change: impl FnOnce(&mut ModelProto)) -> String {
    let dir = foreign();
    let path = dir.path().join(file);
    let mut model = ModelProto::decode(fs::read(&path).unwrap().as_slice()).unwrap();
    change(&mut model);
    fs::write(&path, model.encode_to_vec()).unwrap();
    adopt_into_new_store(dir.path()).await.unwrap_err()
}

#[tokio::test]
async fn a_model_that_gives_a_zero_vector_is_found() {
    let user = refusal_of("user_tower.onnx", |model| {
        let bias = &mut model.graph.as_mut().unwrap().initializer[2];
        *bias = TensorProto::f32s("bias", &[8], &[0.0; 8]);
    });
    let user = user.await;
    for what in ["an empty history", "unseen values"] {
        let finding = format!("{what} at batch 1: vector 0 of the user tower is zero");
        assert!(user.contains(&finding), "{user}");
    }
    let item = refusal_of("item_tower.onnx", |model| {
        let table = &mut model.graph.as_mut().unwrap().initializer[0];
        *table = TensorProto::f32s("table", &[22, 8], &[0.0; 22 * 8]);
    });
    let item = item.await;
    assert!(
        item.contains("the 20 items of the vocabulary: vector 0 of the item tower is zero"),
        "{item}"
    );
}

#[test]
fn every_damaged_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    Sample::default().write(dir.path()).unwrap();
    for file in ["user_tower.onnx", "item_tower.onnx"] {
        fs::write(dir.path().join(file), "damaged").unwrap();
    }
    let findings = check::check(dir.path());
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings[0].contains("item_tower.onnx"), "{findings:?}");
    assert!(findings[1].contains("user_tower.onnx"), "{findings:?}");
}

/// The item tower takes the buckets of a year in place of ids; its table has 22 rows, the buckets are 23.
#[tokio::test]
async fn a_table_shorter_than_its_buckets_is_found() {
    let dir = foreign();
    let path = dir.path().join("signature.json");
    let text = fs::read_to_string(&path).unwrap();
    let mut signature: serde_json::Value = serde_json::from_str(&text).unwrap();
    let edges: Vec<f64> = (0..22).map(f64::from).collect();
    let input = &mut signature["item"]["inputs"][0];
    input["source"] = "item.year".into();
    input["encoding"] = serde_json::json!({"bucket": {"edges": edges}});
    fs::write(&path, signature.to_string()).unwrap();
    let refusal = adopt_into_new_store(dir.path()).await.unwrap_err();
    assert!(
        refusal.contains("input `item` at item.year 1.7976931348623157e308: item_tower.onnx"),
        "{refusal}"
    );
}
