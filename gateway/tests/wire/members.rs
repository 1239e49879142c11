//! Members that come and go, hang and return.

use std::time::{Duration, Instant};

use crate::house::{House, eventually, ids, item_tower::ItemTower, user};

#[tokio::test]
async fn a_file_of_members_is_followed() {
    let mut house = House::new(2, 1).await;
    let manifest = house.publish("space-a", 2).await;
    house.hold(&manifest, &[&[0], &[1]]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("item-towers");
    let list = |towers: &[&ItemTower]| {
        let lines = towers.iter().map(|tower| tower.uri() + "\n");
        let beside = folder.path().join("new");
        std::fs::write(&beside, lines.collect::<String>()).unwrap();
        std::fs::rename(beside, &file).unwrap();
    };
    list(&[&house.item_towers[0], &house.item_towers[1]]);
    house.config.item_towers = vec![format!("file:{}", file.display())];
    house.config.topology.resolve = Duration::from_millis(20);
    house.open().await;
    house.pinned(&manifest.id).await;

    let covered = async |shards: u32| {
        eventually("other members are asked", async || {
            let answer = house.recall(user("u", 10)).await.unwrap();
            answer.coverage.unwrap().shards_answered == shards
        })
        .await;
    };
    covered(2).await;
    list(&[&house.item_towers[0]]);
    covered(1).await;
    std::fs::write(&file, "nonsense\n").unwrap();
    covered(1).await;
    let replacement = ItemTower::start();
    replacement.hold(&manifest, &[1]);
    list(&[&house.item_towers[0], &replacement]);
    covered(2).await;
}

#[tokio::test]
async fn a_replica_that_hangs_is_hedged_and_then_left_out() {
    let mut house = House::new(2, 1).await;
    let manifest = house.publish("space-a", 2).await;
    house.hold(&manifest, &[&[0, 1], &[0, 1]]);
    // Nothing but the calls themselves tells.
    house.config.topology.refresh = Duration::from_secs(3_600);
    house.open().await;
    house.pinned(&manifest.id).await;
    for _ in 0..300 {
        house.recall(user("u", 1)).await.unwrap();
    }
    // The one that was asked last, if it is asked next, too.
    let searches = |tower: &ItemTower| tower.state().searches.len();
    let mut hanging = None;
    while hanging.is_none() {
        let before = searches(&house.item_towers[1]);
        house.recall(user("u", 1)).await.unwrap();
        let tower = &house.item_towers[usize::from(searches(&house.item_towers[1]) > before)];
        tower.state().hangs = true;
        house.recall(user("u", 1)).await.unwrap();
        let hung = tower.state().hung > 0;
        tower.state().hangs = hung;
        hanging = hung.then_some(tower);
    }
    let tower = hanging.unwrap();
    let begun = Instant::now();
    for _ in 0..40 {
        let answer = house.recall(user("u", 10)).await.unwrap();
        assert_eq!(ids(&answer), (1..=10).collect::<Vec<_>>());
        assert!(answer.degraded_reasons.is_empty());
    }
    // One that waited would wait for four fifths of its twenty seconds.
    assert!(begun.elapsed() < Duration::from_secs(10));
    let hung = tower.state().hung;
    assert!((1..=3).contains(&hung), "left out after three, not {hung}");
}

#[tokio::test]
async fn a_member_that_says_it_does_not_serve_is_not_asked_though_no_look_is_due() {
    let mut house = House::new(2, 1).await;
    let manifest = house.publish("space-a", 1).await;
    house.hold(&manifest, &[&[0], &[0]]);
    house.config.topology.refresh = Duration::from_secs(3_600);
    house.open().await;
    house.pinned(&manifest.id).await;
    eventually("both are asked", async || {
        house.recall(user("u", 1)).await.unwrap();
        let searches = |tower: &ItemTower| tower.state().searches.len();
        house.item_towers.iter().all(|tower| searches(tower) > 0)
    })
    .await;
    house.item_towers[0].drain();
    eventually("one is not asked any more", async || {
        let before = house.item_towers[0].state().searches.len();
        for _ in 0..20 {
            house.recall(user("u", 1)).await.unwrap();
        }
        house.item_towers[0].state().searches.len() == before
    })
    .await;
}
