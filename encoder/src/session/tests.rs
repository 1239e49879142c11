//! Towers that run, and models that are not what the signature says; all on the true ONNX Runtime.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod external;
mod given;
mod inputs;
mod mates;
mod refusals;
mod telling;

use std::{fs, path::Path, thread};

use prost::Message as _;
use tempfile::TempDir;

use super::*;
use crate::{
    artifact::{self, SIGNATURE},
    features::Event,
    gather::Gathered,
    golden::{self, Raw},
    messages::{ModelProto, StringStringEntryProto, TensorProto},
    sample::{Reads, Sample},
};

fn sample() -> (TempDir, Sample, Artifact) {
    sample_that(Reads::Ids)
}

fn sample_that(reads: Reads) -> (TempDir, Sample, Artifact) {
    let dir = tempfile::tempdir().unwrap();
    let sample = Sample {
        reads,
        ..Sample::default()
    };
    sample.write(dir.path()).unwrap();
    let artifact = Artifact::open(dir.path()).unwrap();
    (dir, sample, artifact)
}

fn user(items: &[u64]) -> User {
    let event = |item: &u64| Event {
        item: *item,
        kind: "rating".to_owned(),
        value: 4.0,
        time: 0,
    };
    User {
        history: items.iter().map(event).collect(),
        ..User::default()
    }
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
    }
}

/// Changes the user tower's model, seals it again, and returns what opening it says.
fn refusal(change: impl FnOnce(&mut ModelProto)) -> String {
    let (dir, ..) = sample();
    change_model(dir.path(), change);
    let artifact = Artifact::open(dir.path()).unwrap();
    UserEncoder::open(&artifact, 1).unwrap_err().to_string()
}

fn change_model(dir: &Path, change: impl FnOnce(&mut ModelProto)) {
    let path = dir.join(USER_TOWER);
    let mut model = ModelProto::decode(fs::read(&path).unwrap().as_slice()).unwrap();
    change(&mut model);
    fs::write(&path, model.encode_to_vec()).unwrap();
    artifact::seal(dir, "test").unwrap();
}

#[test]
fn a_user_is_what_the_model_makes_of_the_history() {
    let (_dir, sample, artifact) = sample();
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    let users = [user(&[]), user(&[3, 99, 4]), user(&[1, 2, 3, 4, 5, 6, 7])];
    let interests = encoder.encode(&users).unwrap();
    for (at, user) in users.iter().enumerate() {
        close(interests.user(at), &sample.user(user));
    }
    assert_eq!(interests.cold, [true, false, false]);
    assert!(interests.weights.is_empty());
}

#[test]
fn golden_vectors_of_items_embedded_otherwise_are_told() {
    let (dir, ..) = sample_that(Reads::Vectors);
    let path = dir.path().join(golden::RAW);
    let raw = fs::read_to_string(&path).unwrap();
    // The histories' items are then embedded as if nobody knew them.
    let other = raw.replace(r#"{"id":1,"features":{}}"#, r#"{"id":999,"features":{}}"#);
    assert_ne!(raw, other);
    fs::write(&path, other).unwrap();
    artifact::seal(dir.path(), "test").unwrap();
    let artifact = Artifact::open(dir.path()).unwrap();
    let (user, item) = (
        UserEncoder::open(&artifact, 1).unwrap(),
        ItemEncoder::open(&artifact, 1).unwrap(),
    );
    let findings = artifact.golden_findings(&user, &item);
    assert_eq!(findings.len(), 2, "{findings:?}");
    let user = findings[0].to_string();
    assert!(user.contains("test_data_set_0") && user.contains("row 1"));
}

#[test]
fn an_item_is_what_the_model_makes_of_its_id() {
    let (_dir, sample, artifact) = sample();
    let encoder = ItemEncoder::open(&artifact, 1).unwrap();
    let items: Vec<Item> = (0..200)
        .map(|id| Item {
            id,
            ..Item::default()
        })
        .collect();
    let embeddings = encoder.encode(&items).unwrap();
    assert_eq!(embeddings.len(), 200);
    for (item, row) in items.iter().zip(embeddings.rows()) {
        close(row, &sample.row(item.id));
    }
}

#[test]
fn every_batch_size_gives_every_user_the_same_vector() {
    let (_dir, sample, artifact) = sample();
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    for size in [1, 2, 3, 31, 63, 64, 65, 130] {
        let users: Vec<User> = (0..size).map(|at| user(&[at % 20 + 1])).collect();
        let interests = encoder.encode(&users).unwrap();
        assert_eq!(interests.len(), size as usize);
        users
            .iter()
            .enumerate()
            .for_each(|(at, user)| close(interests.user(at), &sample.user(user)));
    }
    assert!(encoder.encode(&[]).unwrap().is_empty());
}

#[test]
fn more_callers_than_sessions_all_get_their_own_answer() {
    let (_dir, sample, artifact) = sample();
    let encoder = UserEncoder::open(&artifact, 2).unwrap();
    thread::scope(|scope| {
        for caller in 1..=8 {
            let (encoder, sample) = (&encoder, &sample);
            scope.spawn(move || {
                let user = user(&[caller]);
                for _ in 0..50 {
                    close(
                        encoder.encode(std::slice::from_ref(&user)).unwrap().user(0),
                        &sample.user(&user),
                    );
                }
            });
        }
    });
}

#[test]
fn the_golden_vectors_of_a_sound_artifact_agree() {
    let (_dir, _, artifact) = sample();
    let (user, item) = (
        UserEncoder::open(&artifact, 1).unwrap(),
        ItemEncoder::open(&artifact, 1).unwrap(),
    );
    artifact.check_golden(&user, &item).unwrap();
}

#[test]
fn a_wrong_model_under_a_right_hash_fails_its_golden_vectors() {
    let (dir, ..) = sample();
    change_model(dir.path(), |model| {
        let tensors = &mut model.graph.as_mut().unwrap().initializer;
        let bias = tensors
            .iter_mut()
            .find(|tensor| tensor.name == "bias")
            .unwrap();
        *bias = TensorProto::f32s("bias", &[8], &[0.6, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    });
    let artifact = Artifact::open(dir.path()).unwrap();
    let (user, item) = (
        UserEncoder::open(&artifact, 1).unwrap(),
        ItemEncoder::open(&artifact, 1).unwrap(),
    );
    let refusal = artifact.check_golden(&user, &item).unwrap_err().to_string();
    assert!(
        refusal.contains("number 0 of row 0 is 0.6 at batch 1, golden 0.5"),
        "{refusal}"
    );
}

/// Writes golden users whose vectors are off by 1 in the first number of row `wrong`, and returns what is found.
fn golden_refusals(rows: u64, wrong: usize) -> Vec<String> {
    let (dir, sample, artifact) = sample();
    let users: Vec<User> = (0..rows).map(|at| user(&[at % 20 + 1])).collect();
    let mut vectors: Vec<f32> = users.iter().flat_map(|user| sample.user(user)).collect();
    vectors[wrong * sample.dim] += 1.0;
    let tensor = TensorProto::f32s("", &[users.len(), sample.dim], &vectors);
    let items = golden::read(&artifact).unwrap()[1].raw.clone();
    let output = dir.path().join("golden/test_data_set_0/output_0.pb");
    fs::write(output, tensor.encode_to_vec()).unwrap();
    let raw = golden::lines(&[Raw::User(users), items]);
    fs::write(dir.path().join(golden::RAW), raw).unwrap();
    // The second set's vectors are damaged too.
    let output = dir.path().join("golden/test_data_set_1/output_0.pb");
    fs::write(output, TensorProto::f32s("", &[1], &[0.0]).encode_to_vec()).unwrap();
    artifact::seal(dir.path(), "test").unwrap();
    let artifact = Artifact::open(dir.path()).unwrap();
    let (user, item) = (
        UserEncoder::open(&artifact, 1).unwrap(),
        ItemEncoder::open(&artifact, 1).unwrap(),
    );
    let findings = artifact.golden_findings(&user, &item);
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn every_golden_row_of_every_set_is_compared() {
    let refusals = golden_refusals(71, 70);
    assert_eq!(refusals.len(), 2, "{refusals:?}");
    assert!(
        refusals[0].contains("number 0 of row 70 is") && refusals[0].contains("at batch 64"),
        "{refusals:?}"
    );
    assert!(refusals[1].contains("test_data_set_1"), "{refusals:?}");
}

#[test]
fn a_number_that_is_none_is_an_error_that_names_the_row() {
    let (dir, ..) = sample();
    change_model(dir.path(), |model| {
        let table = &mut model.graph.as_mut().unwrap().initializer[0];
        let mut bytes = table.raw_data.to_vec();
        bytes[2 * 8 * 4..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
        table.raw_data = bytes.into();
    });
    let artifact = Artifact::open(dir.path()).unwrap();
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    assert!(encoder.encode(&[user(&[2])]).is_ok());
    let refusal = encoder
        .encode(&[user(&[2]), user(&[1])])
        .unwrap_err()
        .to_string();
    assert!(refusal.contains("output user of row 1 is NaN"), "{refusal}");
}

#[test]
fn buckets_hold_what_they_are_chosen_for() {
    assert_eq!([1, 2, 3, 5, 33, 64].map(bucket), [1, 2, 4, 8, 64, 64]);
}
