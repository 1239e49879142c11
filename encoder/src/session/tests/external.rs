//! Models whose weights lie in another file.

use super::*;

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
