//! A manifest is believed under its own id, within its limits, if it agrees with itself.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;

/// A manifest of one shard of 10 items, which passes every check.
fn manifest() -> Manifest {
    let shard = ShardEntry::named(0, 10);
    let entry = |bytes| FileEntry {
        bytes,
        blake3: String::new(),
    };
    Manifest {
        format: FORMAT,
        id: String::new(),
        created: "2026-11-24T10:11:12Z".to_owned(),
        space: "0123456789abcdef".to_owned(),
        dim: 4,
        metric: Metric::Dot,
        items: 10,
        files: BTreeMap::from([
            (
                shard.rows.clone(),
                entry(rows::file_bytes(4, 10, Storage::F32)),
            ),
            (shard.graph.clone(), entry(7)),
            (shard.items_file.clone(), entry(0)),
        ]),
        shards: vec![shard],
        partitioner: Partitioner {
            name: partition::PARTITIONER.to_owned(),
            shards: 1,
        },
        engine: Engine {
            name: "usearch".to_owned(),
            version: "2.26.6".to_owned(),
            connectivity: 16,
            expansion_add: 128,
            expansion_search: 64,
        },
        updates_from: 0,
        catalog: None,
        report: Some(serde_json::json!({"hr@10": 0.1 + 0.2})),
    }
}

/// The error of a manifest that was spoilt before it was sealed.
fn refused(spoil: impl FnOnce(&mut Manifest)) -> String {
    let mut manifest = manifest();
    spoil(&mut manifest);
    manifest.seal().unwrap_err().to_string()
}

#[test]
fn a_sealed_manifest_is_parsed_under_its_id_only() {
    let mut manifest = manifest();
    let text = manifest.seal().unwrap();
    assert!(
        manifest.id.starts_with("20261124T101112Z-"),
        "{}",
        manifest.id
    );
    assert_eq!(Manifest::parse(&text, &manifest.id).unwrap(), manifest);
    assert!(Manifest::parse(&text, "20261124T101112Z-00000000").is_err());
}

#[test]
fn a_shard_may_have_cells_that_are_among_the_files() {
    let mut manifest = manifest();
    let text = manifest.seal().unwrap();
    assert!(!String::from_utf8(text).unwrap().contains("cells"));
    let cells = ShardEntry::cells_named(0);
    manifest.shards[0].cells = Some(cells.clone());
    let cause = manifest.seal().unwrap_err().to_string();
    assert_eq!(cause, "file shard-0000.cells is not in the store");
    let entry = FileEntry {
        bytes: 64,
        blake3: String::new(),
    };
    manifest.files.insert(cells, entry);
    let text = manifest.seal().unwrap();
    assert_eq!(Manifest::parse(&text, &manifest.id).unwrap(), manifest);
}

#[test]
fn rows_have_the_size_that_their_storage_asks_for() {
    let mut manifest = manifest();
    let text = String::from_utf8(manifest.seal().unwrap()).unwrap();
    assert!(!text.contains("storage"));
    manifest.shards[0].storage = Storage::F16;
    assert_eq!(
        manifest.seal().unwrap_err().to_string(),
        "manifest.json: size of a rows file is 352, expected 272"
    );
    let rows = manifest.shards[0].rows.clone();
    let bytes = rows::file_bytes(4, 10, Storage::F16);
    manifest.files.get_mut(&rows).unwrap().bytes = bytes;
    let text = manifest.seal().unwrap();
    assert_eq!(Manifest::parse(&text, &manifest.id).unwrap(), manifest);
    let unknown = String::from_utf8(text).unwrap().replace("f16", "f8");
    let cause = Manifest::parse(unknown.as_bytes(), &manifest.id).unwrap_err();
    let cause = cause.to_string();
    assert!(
        cause.contains("unknown variant `f8`, expected `f32` or `f16`"),
        "{cause}"
    );
}

#[test]
fn contradictions_are_refused_with_both_values() {
    assert_eq!(
        refused(|manifest| manifest.items = 11),
        "manifest.json: sum of the shards' items is 10, expected 11"
    );
    assert_eq!(
        refused(|manifest| manifest.partitioner.shards = 2),
        "manifest.json: number of shards is 1, expected 2"
    );
    assert_eq!(
        refused(|manifest| manifest.partitioner.name = "modulo".to_owned()),
        "manifest.json: partitioner is modulo, expected splitmix64"
    );
    assert_eq!(
        refused(|manifest| manifest.dim = 0),
        "manifest.json: dim is 0, expected 1 to 65536"
    );
    assert!(refused(|manifest| manifest.shards.clear()).contains("number of shards is 0"));
    assert!(refused(|manifest| manifest.space = "../x".to_owned()).contains("not a name"));
}

proptest! {
    #[test]
    fn hostile_numbers_are_refused_and_never_a_panic(items in 11_u64.., dim: usize, shards: u32, bytes: u64) {
        let mut manifest = manifest();
        manifest.shards[0].items = items;
        manifest.items = items;
        prop_assert!(manifest.seal().is_err());
        manifest.dim = dim;
        manifest.partitioner.shards = shards;
        let rows = manifest.shards[0].rows.clone();
        manifest.files.insert(rows, FileEntry { bytes, blake3: String::new() });
        let _ = manifest.seal();
    }
}
