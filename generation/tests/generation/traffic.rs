//! Going back: to what is whole, or not at all.

use generation::{error::Error, traffic::roll_back};

use crate::fixture::{Place, SPACE, in_both};

in_both! {
    going_back_twice_is_where_one_was,
    any_generation_of_the_store_can_be_named,
    nobody_goes_back_to_what_is_not_there_or_broken,
}

async fn going_back_twice_is_where_one_was(place: Place) {
    let house = place.house().await;
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

async fn any_generation_of_the_store_can_be_named(place: Place) {
    let house = place.house().await;
    let oldest = house.publish(1.0).await.id;
    house.publish(2.0).await;
    let newest = house.publish(3.0).await.id;
    roll_back(&house.store, Some(&oldest)).await.unwrap();
    assert_eq!(house.serving().await, (oldest, Some(newest)));
}

async fn nobody_goes_back_to_what_is_not_there_or_broken(place: Place) {
    let house = place.house().await;
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
    house.tamper(&old, "shard-0001.graph", b"graph 9").await;
    let cause = roll_back(&house.store, None).await.unwrap_err();
    assert!(
        cause.to_string().contains("shard-0001.graph: blake3"),
        "{cause}"
    );
    house.tamper(&old, "shard-0001.graph", b"graph 1").await;
    house.remove_artifact().await;
    let cause = roll_back(&house.store, None).await.unwrap_err();
    assert_eq!(
        cause.to_string(),
        format!("artifact {SPACE} is not in the store")
    );
    assert_eq!(house.serving().await, serving);
}
