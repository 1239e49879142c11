//! The cells of a shard: in a file if it is large, and the same whenever it is built.

use std::fs;

use crate::rig::Rig;

/// As many items as are divided into cells.
const MANY: u64 = 20_000;

#[test]
fn a_large_shard_has_its_cells_in_a_file_and_a_small_one_has_none() {
    let mut rig = Rig::of(MANY);
    rig.config.shards = 1;
    rig.config.embed.chunk = 1_024;
    // A graph this thin is soon made, and finds little.
    rig.config.hnsw.connectivity = 2;
    rig.config.hnsw.expansion_add = 2;
    rig.config.hnsw.expansion_search = 1;
    rig.config.verify.ann_recall_floor = 0.0;

    let first = rig.run().unwrap().generation;
    let files = rig.files(&first);
    assert_eq!(&files["shard-0000.cells"][..8], b"TTCELL01");
    assert_eq!(
        manifest(&rig, &first)["shards"][0]["cells"],
        "shard-0000.cells"
    );
    rig.config.reuse = false;
    let again = rig.run().unwrap().generation;
    assert!(rig.files(&again) == files);

    rig.write_catalog(1..MANY);
    let small = rig.run().unwrap().generation;
    assert!(!rig.files(&small).contains_key("shard-0000.cells"));
    assert!(manifest(&rig, &small)["shards"][0].get("cells").is_none());
}

fn manifest(rig: &Rig, generation: &str) -> serde_json::Value {
    let path = format!(
        "{}/generations/{generation}/manifest.json",
        rig.config.store
    );
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}
