//! Towers that run, and models that are not what the signature says; all on the true ONNX Runtime.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

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
fn a_model_that_reads_ages_sees_the_time_of_the_request() {
    let (_dir, sample, artifact) = sample_that(Reads::Ages);
    assert!(artifact.signature().reads_time());
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    let at = |time: Option<i64>| User {
        time,
        ..user(&[3, 4])
    };
    let users = [at(None), at(Some(3_600)), at(Some(36_000))];
    let interests = encoder.encode(&users).unwrap();
    for (row, user) in users.iter().enumerate() {
        close(interests.user(row), &sample.user(user));
    }
    assert_eq!(interests.user(2)[1] - interests.user(0)[1], 20.0);
    let item = ItemEncoder::open(&artifact, 1).unwrap();
    artifact.check_golden(&encoder, &item).unwrap();
}

#[test]
fn a_model_that_reads_item_vectors_knows_the_items_that_have_one() {
    let (_dir, sample, artifact) = sample_that(Reads::Vectors);
    let user_tower = UserEncoder::open(&artifact, 1).unwrap();
    // Item 777 is newer than the model, item 2 is gone.
    let ids = [1, 3, 4, 777];
    let newer = vec![0.25; 8];
    let row = |id: &u64| match id {
        777 => newer.clone(),
        id => sample.row(*id),
    };
    let rows = Embeddings {
        dim: 8,
        values: ids.iter().flat_map(row).collect(),
    };
    let vectors = Gathered::new(&ids, rows);
    let users = [user(&[3, 2, 777]), user(&[2]), user(&[1, 1, 3, 3, 4, 4])];
    let found = user_tower.encode_with(&users, Some(&vectors)).unwrap();
    let with_newer: Vec<f32> = sample
        .user(&user(&[3]))
        .iter()
        .zip(&newer)
        .map(|(sum, number)| sum + number)
        .collect();
    close(found.user(0), &with_newer);
    close(found.user(1), &sample.user(&user(&[])));
    close(found.user(2), &sample.user(&users[2]));
    assert_eq!(found.cold, [false, true, false]);
    let item_tower = ItemEncoder::open(&artifact, 1).unwrap();
    artifact.check_golden(&user_tower, &item_tower).unwrap();
}

#[test]
fn a_model_that_reads_item_vectors_embeds_nobody_without_them() {
    let (_dir, _, artifact) = sample_that(Reads::Vectors);
    let tower = UserEncoder::open(&artifact, 1).unwrap();
    let refusal = tower.encode(&[user(&[1])]).unwrap_err().to_string();
    let takes = "user_tower.onnx: it takes item vectors of length 8, ";
    assert_eq!(refusal, format!("{takes}none were handed in"));
    let rows = Embeddings {
        dim: 9,
        values: vec![0.0; 9],
    };
    let longer = Gathered::new(&[1], rows);
    let refusal = tower.encode_with(&[user(&[1])], Some(&longer)).unwrap_err();
    let shown = refusal.to_string();
    assert_eq!(shown, format!("{takes}those handed in have length 9"));
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
fn a_model_without_the_inputs_of_the_signature_is_refused() {
    let renamed = refusal(|model| {
        let graph = model.graph.as_mut().unwrap();
        graph.input[0].name = "clicks".to_owned();
        graph.node[0].input[1] = "clicks".to_owned();
    });
    assert!(
        renamed.contains("no input `history`, it has `clicks`"),
        "{renamed}"
    );
    assert!(
        renamed.contains("nothing feeds the model's input `clicks`"),
        "{renamed}"
    );
}

/// Changes the signature, seals it again, and returns what opening the user tower says.
fn mismatch(from: &str, to: &str) -> String {
    let (dir, ..) = sample();
    let path = dir.path().join(SIGNATURE);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    artifact::seal(dir.path(), "test").unwrap();
    let artifact = Artifact::open(dir.path()).unwrap();
    UserEncoder::open(&artifact, 1).unwrap_err().to_string()
}

#[test]
fn a_model_of_another_type_dimension_or_output_is_refused() {
    let dtype = mismatch(
        "\"dtype\": \"i64\",\n        \"encoding\": {\n          \"vocabulary\": {\n            \"file\": \"vocabulary/item.id.txt\",\n            \"padding\": 0,\n            \"unknown\": 1\n          }\n        },\n        \"name\": \"history\"",
        "\"dtype\": \"i32\",\n        \"encoding\": {\n          \"vocabulary\": {\n            \"file\": \"vocabulary/item.id.txt\",\n            \"padding\": 0,\n            \"unknown\": 1\n          }\n        },\n        \"name\": \"history\"",
    );
    assert!(dtype.contains("input `history` holds"), "{dtype}");
    let dim = mismatch("\"dim\": 8", "\"dim\": 9");
    assert!(
        dim.contains("output `user` is [?, 8], it must be [batch, 1, 9] or [batch, 9]"),
        "{dim}"
    );
    let output = mismatch("\"name\": \"user\"", "\"name\": \"vector\"");
    assert!(
        output.contains("no output `vector`, it has `user`"),
        "{output}"
    );
}

#[test]
fn a_batch_that_is_not_dynamic_is_refused() {
    let fixed = refusal(|model| {
        let graph = model.graph.as_mut().unwrap();
        for info in graph.input.iter_mut().chain(&mut graph.output) {
            let shape = info
                .r#type
                .as_mut()
                .unwrap()
                .tensor_type
                .as_mut()
                .unwrap()
                .shape
                .as_mut()
                .unwrap();
            shape.dim[0].value = Some(crate::messages::DimensionValue::DimValue(1));
        }
    });
    assert!(
        fixed.contains("input `history` is [1, 5], the signature says [batch, 5]"),
        "{fixed}"
    );
}

#[test]
fn what_is_no_model_is_refused() {
    let (dir, ..) = sample();
    for bytes in [b"".as_slice(), b"garbage", &[0xff; 1000]] {
        fs::write(dir.path().join(USER_TOWER), bytes).unwrap();
        artifact::seal(dir.path(), "test").unwrap();
        let artifact = Artifact::open(dir.path()).unwrap();
        let refusal = UserEncoder::open(&artifact, 1).unwrap_err().to_string();
        assert!(
            refusal.contains("user_tower.onnx: it is no ONNX model"),
            "{refusal}"
        );
    }
    let unknown =
        refusal(|model| model.graph.as_mut().unwrap().node[0].op_type = "Gathr".to_owned());
    assert!(
        unknown.contains("ONNX Runtime refuses it") && unknown.contains("Gathr"),
        "{unknown}"
    );
}

#[test]
fn a_tensor_that_claims_more_than_it_holds_is_refused() {
    for dims in [vec![1_i64 << 40, 8], vec![i64::MAX, i64::MAX], vec![-1, 8]] {
        let refusal = refusal(|model| model.graph.as_mut().unwrap().initializer[0].dims = dims);
        assert!(refusal.contains("ONNX Runtime refuses it"), "{refusal}");
    }
}

/// Moves the table into another file, `location`.
fn externalize(model: &mut ModelProto, location: &str) -> Vec<u8> {
    let table = &mut model.graph.as_mut().unwrap().initializer[0];
    let bytes = std::mem::take(&mut table.raw_data).to_vec();
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: key.to_owned(),
        value,
    };
    table.data_location = 1;
    table.external_data = vec![
        entry("location", location.to_owned()),
        entry("offset", "0".to_owned()),
        entry("length", bytes.len().to_string()),
    ];
    bytes
}

#[test]
fn external_data_that_is_not_listed_is_refused_before_anybody_opens_it() {
    for location in [
        "weights.bin",
        "../weights.bin",
        "/etc/hostname",
        "user_tower.onnx/../x",
    ] {
        let refusal = refusal(|model| drop(externalize(model, location)));
        assert!(
            refusal.contains("is not listed in artifact.json"),
            "{refusal}"
        );
    }
}

#[test]
fn external_data_without_exactly_one_location_is_refused() {
    let twice = refusal(|model| {
        externalize(model, "user_tower.onnx");
        let entries = &mut model.graph.as_mut().unwrap().initializer[0].external_data;
        let last = StringStringEntryProto {
            value: "/etc/hostname".to_owned(),
            ..entries[0].clone()
        };
        entries.push(last);
    });
    assert!(
        twice.contains("external data of tensor `table` has 2 locations, it must have 1"),
        "{twice}"
    );
    let never = refusal(|model| {
        externalize(model, "user_tower.onnx");
        model.graph.as_mut().unwrap().initializer[0]
            .external_data
            .remove(0);
    });
    assert!(never.contains("has 0 locations"), "{never}");
}

#[test]
fn external_data_that_is_listed_is_served_from_its_hashed_bytes() {
    let (dir, sample, _) = sample();
    let path = dir.path().join("weights.bin");
    change_model(dir.path(), |model| {
        fs::write(&path, externalize(model, "weights.bin")).unwrap();
    });
    let artifact = Artifact::open(dir.path()).unwrap();
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    fs::remove_file(&path).unwrap();
    let user = user(&[7, 8]);
    close(
        encoder.encode(std::slice::from_ref(&user)).unwrap().user(0),
        &sample.user(&user),
    );
}

#[test]
fn buckets_hold_what_they_are_chosen_for() {
    assert_eq!([1, 2, 3, 5, 33, 64].map(bucket), [1, 2, 4, 8, 64, 64]);
}
