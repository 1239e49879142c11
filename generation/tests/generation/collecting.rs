//! Collecting removes what CURRENT does not name, and only that.

use std::fs;

use generation::{collect::collect, open, rows::Rows};

use crate::fixture::House;

#[tokio::test]
async fn named_generations_and_the_newest_others_stay() {
    let house = House::new();
    let mut ids = Vec::new();
    for seed in 0..5 {
        ids.push(house.publish(seed as f32).await.id);
    }
    let removed = collect(&house.store, 3).await.unwrap();
    assert_eq!(removed, [ids[1].as_str(), ids[0].as_str()]);
    let left = house.store.generations().await.unwrap();
    assert_eq!(left, [ids[4].as_str(), ids[3].as_str(), ids[2].as_str()]);
    assert!(collect(&house.store, 3).await.unwrap().is_empty());
    assert_eq!(
        house.serving().await,
        (ids[4].clone(), Some(ids[3].clone()))
    );
}

#[tokio::test]
async fn a_map_outlives_its_file() {
    let house = House::new();
    let old = house.publish(1.0).await.id;
    let generation = open::open(&house.store, &old).await.unwrap();
    let rows = Rows::map(&generation.file("shard-0000.rows").unwrap()).unwrap();
    house.publish(2.0).await;
    house.publish(3.0).await;
    assert_eq!(collect(&house.store, 1).await.unwrap(), [old.as_str()]);
    assert!(!house.path(&old, "").exists());
    assert_eq!(rows.row(0), [1.0, 2.0, 3.0, 4.0]);
}

#[tokio::test]
async fn a_generation_half_removed_is_finished() {
    let house = House::new();
    house.publish(1.0).await;
    let half = house.path("20200101T000000Z-00000000", "");
    fs::create_dir_all(&half).unwrap();
    fs::write(half.join("shard-0000.rows"), "x").unwrap();
    assert_eq!(
        collect(&house.store, 9).await.unwrap(),
        ["20200101T000000Z-00000000"]
    );
    assert!(!half.exists());
}

#[tokio::test]
async fn without_current_nothing_whole_is_removed() {
    let house = House::new();
    house.publish(1.0).await;
    assert!(collect(&house.store, 1).await.unwrap().is_empty());
    fs::remove_file(house.store.root().join("CURRENT")).unwrap();
    assert!(collect(&house.store, 0).await.unwrap().is_empty());
    assert_eq!(house.store.generations().await.unwrap().len(), 1);
}
