//! Going back: to what is whole, or not at all.

use std::fs;

use generation::{error::Error, rollback::roll_back};

use crate::fixture::{House, SPACE};

#[tokio::test]
async fn going_back_twice_is_where_one_was() {
    let house = House::new();
    let old = house.publish(1.0).await.id;
    let new = house.publish(2.0).await.id;
    let current = roll_back(&house.store, None).await.unwrap();
    assert_eq!(
        (current.serving, current.previous),
        (old.clone(), Some(new.clone()))
    );
    assert_eq!(house.serving().await, (old.clone(), Some(new.clone())));
    roll_back(&house.store, None).await.unwrap();
    assert_eq!(house.serving().await, (new, Some(old)));
}

#[tokio::test]
async fn any_generation_of_the_store_can_be_named() {
    let house = House::new();
    let oldest = house.publish(1.0).await.id;
    house.publish(2.0).await;
    let newest = house.publish(3.0).await.id;
    roll_back(&house.store, Some(&oldest)).await.unwrap();
    assert_eq!(house.serving().await, (oldest, Some(newest)));
}

#[tokio::test]
async fn nobody_goes_back_to_what_is_not_there_or_broken() {
    let house = House::new();
    let cause = roll_back(&house.store, None).await.unwrap_err();
    assert_eq!(
        cause.to_string(),
        "the store has no CURRENT: nothing serves"
    );
    let old = house.publish(1.0).await.id;
    let cause = roll_back(&house.store, None).await.unwrap_err();
    assert!(
        cause.to_string().ends_with("and no previous generation"),
        "{cause}"
    );
    let new = house.publish(2.0).await.id;
    let serving = house.serving().await;

    let cause = roll_back(&house.store, Some(&new)).await.unwrap_err();
    assert!(cause.to_string().contains("serve already"), "{cause}");
    let cause = roll_back(&house.store, Some("20200101T000000Z-00000000")).await;
    assert!(matches!(cause, Err(Error::Missing { .. })), "{cause:?}");
    house.tamper(&old, "shard-0001.graph", b"graph 9");
    let cause = roll_back(&house.store, None).await.unwrap_err();
    assert!(
        cause.to_string().contains("shard-0001.graph: blake3"),
        "{cause}"
    );
    house.tamper(&old, "shard-0001.graph", b"graph 1");
    fs::remove_dir_all(house.store.artifact_dir(SPACE).unwrap()).unwrap();
    let cause = roll_back(&house.store, None).await.unwrap_err();
    assert_eq!(
        cause.to_string(),
        format!("artifact {SPACE} is not in the store")
    );
    assert_eq!(house.serving().await, serving);
}
