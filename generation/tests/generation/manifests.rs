//! The manifest's JSON: complete, stable, and believed only within its limits.

use generation::manifest::Manifest;
use proptest::prelude::*;

use crate::fixture::{Place, in_both};

in_both! { a_manifest_reads_as_documented }

async fn a_manifest_reads_as_documented(place: Place) {
    let house = place.house().await;
    let id = house.publish(1.0).await.id;
    let text = house.bytes(&id, "manifest.json").await;
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(json["format"], 1);
    assert_eq!(json["id"], id.as_str());
    assert_eq!(json["metric"], "cosine");
    assert_eq!(
        json["partitioner"],
        serde_json::json!({"name": "splitmix64", "shards": 2})
    );
    assert_eq!(json["shards"][1]["items_file"], "shard-0001.items");
    assert_eq!(json["shards"][1]["cells"], "shard-0001.cells");
    assert_eq!(json["shards"][0].get("cells"), None);
    assert_eq!(json["files"]["shard-0000.rows"]["bytes"], 176);
    assert_eq!(json["report"]["users"], 6040);
    let created: String = id[..16].to_owned();
    assert_eq!(
        json["created"].as_str().unwrap().replace(['-', ':'], ""),
        created
    );
}

proptest! {
    #[test]
    fn garbage_is_an_error_and_never_a_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Manifest::parse(&text, "20200101T000000Z-00000000").is_err());
    }
}
