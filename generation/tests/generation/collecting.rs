//! Collecting removes what CURRENT does not name, and only that.

use generation::{collect::collect, error::Error, open, rows::Rows, traffic::roll_back};

use crate::fixture::{Place, in_both};

in_both! {
    named_generations_and_the_newest_others_stay,
    a_map_outlives_its_file,
    a_generation_half_removed_is_finished,
    without_current_nothing_whole_is_removed,
    two_that_collect_at_once_remove_the_same,
    what_serves_is_never_removed_by_one_who_collects_meanwhile,
}

async fn named_generations_and_the_newest_others_stay(place: Place) {
    let house = place.house().await;
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

async fn a_map_outlives_its_file(place: Place) {
    let house = place.house().await;
    let old = house.publish(1.0).await.id;
    let generation = open::open(&house.store, &old).await.unwrap();
    let rows = Rows::map(&generation.file("shard-0000.rows").unwrap()).unwrap();
    house.publish(2.0).await;
    house.publish(3.0).await;
    assert_eq!(collect(&house.store, 1).await.unwrap(), [old.as_str()]);
    let left = house.store.list(&format!("generations/{old}")).await;
    assert!(left.unwrap().is_empty());
    assert_eq!(*rows.row(0), [1.0, 2.0, 3.0, 4.0]);
}

async fn a_generation_half_removed_is_finished(place: Place) {
    let house = place.house().await;
    house.publish(1.0).await;
    let half = "20200101T000000Z-00000000";
    house.tamper(half, "shard-0000.rows", b"x").await;
    if place == Place::Bucket {
        // Until then it may be that of a builder at work.
        assert!(collect(&house.store, 9).await.unwrap().is_empty());
        house.age(&format!("generations/{half}"));
    }
    assert_eq!(collect(&house.store, 9).await.unwrap(), [half]);
    let left = house.store.list(&format!("generations/{half}")).await;
    assert!(left.unwrap().is_empty());
}

async fn without_current_nothing_whole_is_removed(place: Place) {
    let house = place.house().await;
    house.publish(1.0).await;
    assert!(collect(&house.store, 1).await.unwrap().is_empty());
    house.store.remove("CURRENT").await.unwrap();
    assert!(collect(&house.store, 0).await.unwrap().is_empty());
    assert_eq!(house.store.generations().await.unwrap().len(), 1);
}

async fn two_that_collect_at_once_remove_the_same(place: Place) {
    let house = place.house().await;
    let mut ids = Vec::new();
    for seed in 0..4 {
        ids.push(house.publish(seed as f32).await.id);
    }
    let (here, there) = (house.store.clone(), house.elsewhere());
    let (one, other) = tokio::join!(collect(&here, 2), collect(&there, 2));
    let mut removed = [one.unwrap(), other.unwrap()].concat();
    removed.sort_unstable();
    removed.dedup();
    assert_eq!(removed, ids[..2]);
    let left = house.store.generations().await.unwrap();
    assert_eq!(left, [ids[3].as_str(), ids[2].as_str()]);
}

async fn what_serves_is_never_removed_by_one_who_collects_meanwhile(place: Place) {
    let house = place.house().await;
    for round in 0..10 {
        let oldest = house.publish(round as f32).await.id;
        house.publish(round as f32 + 0.25).await;
        house.publish(round as f32 + 0.5).await;
        let (here, there) = (house.store.clone(), house.elsewhere());
        let (back, removed) = tokio::join!(roll_back(&here, Some(&oldest)), collect(&there, 2));
        let went = match back {
            Ok(_) => true,
            Err(Error::Missing { .. } | Error::Io { .. }) => false,
            Err(cause) => panic!("{cause}"),
        };
        let gone = removed.unwrap().contains(&oldest);
        assert!(
            !(went && gone),
            "round {round}: {oldest} serves and is gone"
        );
        let current = house.store.current().await.unwrap().unwrap().value;
        for id in current.generations() {
            let generation = open::open(&house.elsewhere(), id).await.unwrap();
            for file in generation.manifest.files.keys() {
                generation.file(file).unwrap();
            }
        }
    }
}
