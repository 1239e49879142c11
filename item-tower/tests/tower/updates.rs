//! Takes changes of the catalog: on disk before the answer, found at every replica, through restarts and new generations.

use std::{collections::BTreeSet, time::Duration};

use encoder::sample::Sample;
use generation::{deltas, partition};
use proto::v1::{self as pb, condition::Kind, item_ref::Name};
use service::status;
use tonic::{Code, Request, Status};

use crate::rig::{Rig, SHARDS, Tower, eventually};

fn item(id: u64) -> pb::Item {
    let year = pb::FeatureValue {
        kind: Some(pb::feature_value::Kind::Number(3_000.0 + id as f64)),
    };
    pb::Item {
        id,
        title: format!("Fresh {id}"),
        features: Some(pb::Features {
            values: [("year".to_owned(), year)].into(),
        }),
        ..pb::Item::default()
    }
}

fn by_id(id: u64) -> pb::ItemRef {
    pb::ItemRef {
        name: Some(Name::Id(id)),
    }
}

async fn upsert(tower: &Tower, items: Vec<pb::Item>) -> Result<pb::UpsertItemsResponse, Status> {
    let request = pb::UpsertItemsRequest { items };
    Ok(tower.catalog().upsert_items(request).await?.into_inner())
}

async fn delete(tower: &Tower, ids: &[u64]) -> Result<u64, Status> {
    let items = ids.iter().copied().map(by_id).collect();
    let request = pb::DeleteItemsRequest { items };
    Ok(tower
        .catalog()
        .delete_items(request)
        .await?
        .into_inner()
        .delta)
}

async fn titles(tower: &Tower, ids: impl IntoIterator<Item = u64>) -> Vec<String> {
    let request = pb::GetItemsRequest {
        generation: String::new(),
        items: ids.into_iter().map(by_id).collect(),
    };
    let found = tower.catalog().get_items(request).await.unwrap();
    let items = found.into_inner().items.into_iter();
    items.map(|item| item.title).collect()
}

/// Searches both shards as of a delta, which the tower waits for.
async fn search_as_of(
    rig: &Rig,
    tower: &Tower,
    generation: &str,
    as_of: u64,
) -> Vec<pb::ShardHits> {
    let mut request = rig.search(generation, 7, &[0, 1], 1_000);
    request.as_of = Some(as_of);
    tower.search(request).await.unwrap()
}

/// Expects exactly these items, best first in each shard.
fn check(rig: &Rig, found: &[pb::ShardHits], ids: impl IntoIterator<Item = u64>) {
    let ids: Vec<u64> = ids.into_iter().collect();
    for hits in found {
        let expected = rig.ranking(7, ids.iter().copied(), hits.shard);
        assert_eq!(hits.ids, expected, "shard {}", hits.shard);
        assert_eq!(hits.items, expected.len() as u64);
        assert_eq!((hits.eligible, hits.searched), (hits.items, hits.items));
    }
}

/// Starts two towers, each with a copy of every shard.
async fn replicas(rig: &Rig) -> [Tower; 2] {
    let start = |name: &'static str| {
        rig.start(move |config| {
            config.members = vec!["a".to_owned(), "b".to_owned()];
            config.member = name.to_owned();
            config.replicas = 2;
        })
    };
    [start("a").await, start("b").await]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_in_is_found_at_every_replica_and_what_is_taken_out_at_none() {
    let rig = Rig::new().await;
    let generation = rig.publish(1..=40).await;
    let [a, b] = replicas(&rig).await;
    for tower in [&a, &b] {
        tower.holds(&[&generation]).await;
    }
    let put = upsert(&a, vec![item(50), item(3), item(51)]).await.unwrap();
    assert_eq!((put.delta, put.not_embedded), (1, Vec::new()));
    assert_eq!(delete(&b, &[5, 51, 999]).await.unwrap(), 2);

    let mut answers = Vec::new();
    for tower in [&a, &b] {
        let found = search_as_of(&rig, tower, &generation, 2).await;
        check(&rig, &found, (1..=40).filter(|id| *id != 5).chain([50]));
        for hits in &found {
            let fresh = hits.fresh.iter().map(|place| hits.ids[*place as usize]);
            let fresh: BTreeSet<u64> = fresh.collect();
            let home = |id: &u64| partition::shard_of(*id, SHARDS) == hits.shard;
            assert_eq!(fresh, [3, 50].into_iter().filter(home).collect());
            assert_eq!(hits.fresh_items, hits.fresh.len() as u64);
            assert_eq!(hits.as_of, 2);
        }
        // An earlier delta can still be seen.
        let before = search_as_of(&rig, tower, &generation, 0).await;
        check(&rig, &before, 1..=40);
        let between = search_as_of(&rig, tower, &generation, 1).await;
        check(&rig, &between, (1..=40).chain([50, 51]));
        assert_eq!(
            titles(tower, [3, 4, 5, 50, 51]).await,
            ["Fresh 3", "Item 4", "Fresh 50"]
        );
        answers.push((found, before, between));
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_popular_items_know_of_changes() {
    let rig = Rig::new().await;
    let generation = rig.publish(1..=40).await;
    let tower = rig.start(|_| {}).await;
    tower.holds(&[&generation]).await;
    upsert(&tower, vec![item(50), item(39)]).await.unwrap();
    let delta = delete(&tower, &[40]).await.unwrap();
    search_as_of(&rig, &tower, &generation, delta).await;

    let years = |min: f64| {
        let range = pb::NumberRange {
            attribute: "year".to_owned(),
            min: Some(min),
            max: None,
        };
        pb::Filter {
            must: vec![pb::Condition {
                kind: Some(Kind::Range(range)),
            }],
            ..pb::Filter::default()
        }
    };
    let mut request = rig.search(&generation, 7, &[0, 1], 100);
    request.filter = Some(years(1938.0));
    let found = tower.search(request.clone()).await.unwrap();
    let mut ids: Vec<u64> = found.iter().flat_map(|hits| hits.ids.clone()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [38, 39, 50]);
    request.filter = Some(years(3_000.0));
    let found = tower.search(request).await.unwrap();
    let eligible: u64 = found.iter().map(|hits| hits.eligible).sum();
    assert_eq!(eligible, 2);

    let popular = async |filter| {
        let request = pb::ListPopularItemsRequest {
            k: 2,
            filter,
            ..Default::default()
        };
        let found = tower.catalog().list_popular_items(request).await.unwrap();
        let found = found.into_inner();
        (found.ids, found.counts)
    };
    assert_eq!(popular(None).await, (vec![39, 38], vec![390, 380]));
    // What replaced an item is as popular as it was; what is new is not popular yet.
    let expected = (vec![39, 50], vec![390, 0]);
    assert_eq!(popular(Some(years(2_000.0))).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_survive_a_restart_a_rollback_and_another_artifact() {
    let mut rig = Rig::new().await;
    let first = rig.publish(1..=40).await;
    let tower = rig.start(|_| {}).await;
    tower.holds(&[&first]).await;
    upsert(&tower, vec![item(50)]).await.unwrap();
    tower.stop().await;

    let tower = rig.start(|_| {}).await;
    tower.holds(&[&first]).await;
    check(
        &rig,
        &search_as_of(&rig, &tower, &first, 1).await,
        (1..=40).chain([50]),
    );

    // The second generation was made with the first delta; the second delta comes after.
    let second = rig.publish_as_of((1..=40).chain([50]), 1).await;
    tower.holds(&[&second, &first]).await;
    upsert(&tower, vec![item(51)]).await.unwrap();
    assert_eq!(delete(&tower, &[2]).await.unwrap(), 3);
    let now = || (1..=40).filter(|id| *id != 2).chain([50, 51]);
    for generation in [&second, &first] {
        let found = search_as_of(&rig, &tower, generation, 3).await;
        check(&rig, &found, now());
    }
    let mut folded = rig.search(&second, 7, &[0], 5);
    folded.as_of = Some(0);
    let refused = tower.search(folded).await.unwrap_err();
    assert_eq!(
        status::reason(&refused).as_deref(),
        Some(status::DELTA_NOT_HELD)
    );

    rig.point_at(&first, Some(&second)).await;
    eventually(async || titles(&tower, [2, 50, 51]).await == ["Fresh 50", "Fresh 51"]).await;

    rig.adopt(Sample {
        seed: 9,
        ..rig.sample.clone()
    })
    .await;
    let third = rig.publish_as_of((1..=40).chain([50]), 1).await;
    tower.holds(&[&third, &second, &first]).await;
    let found = search_as_of(&rig, &tower, &third, 3).await;
    check(&rig, &found, now());
    let vectors = deltas::read_vectors(&rig.store, 2, &rig.space)
        .await
        .unwrap();
    assert_eq!(vectors.unwrap().rows[&51], rig.sample.row(51));
    tower.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_to_come_is_waited_for_and_one_that_does_not_come_is_refused_in_time() {
    let rig = Rig::new().await;
    let generation = rig.publish(1..=40).await;
    let tower = rig.start(|_| {}).await;
    tower.holds(&[&generation]).await;
    let (found, put) = tokio::join!(
        search_as_of(&rig, &tower, &generation, 1),
        upsert(&tower, vec![item(50)])
    );
    assert_eq!(put.unwrap().delta, 1);
    check(&rig, &found, (1..=40).chain([50]));

    let mut request = Request::new(rig.search(&generation, 7, &[0], 5));
    request.get_mut().as_of = Some(9);
    request.set_timeout(Duration::from_millis(200));
    let mut client = pb::search_service_client::SearchServiceClient::new(tower.channel.clone());
    let refused = client.search(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert_eq!(
        status::reason(&refused).as_deref(),
        Some(status::DELTA_NOT_HELD)
    );
    assert!(
        refused.message().contains("as of delta 9, only of 0 to 1"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_the_model_makes_nothing_of_is_kept_until_one_does() {
    let mut rig = Rig::new().await;
    let generation = rig.publish(1..=40).await;
    let tower = rig.start(|_| {}).await;
    tower.holds(&[&generation]).await;
    let put = upsert(&tower, vec![item(777), item(50)]).await.unwrap();
    assert_eq!((put.delta, put.not_embedded), (1, vec![777]));
    let found = search_as_of(&rig, &tower, &generation, 1).await;
    check(&rig, &found, (1..=40).chain([50]));

    rig.adopt(Sample {
        seed: 9,
        items: (1..=60).chain([777]).collect(),
        ..rig.sample.clone()
    })
    .await;
    let next = rig.publish(1..=40).await;
    tower.holds(&[&next, &generation]).await;
    let found = search_as_of(&rig, &tower, &next, 1).await;
    check(&rig, &found, (1..=40).chain([50, 777]));
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_at_once_share_deltas_and_lose_nothing() {
    let rig = Rig::new().await;
    let generation = rig.publish(1..=10).await;
    let [a, b] = replicas(&rig).await;
    for tower in [&a, &b] {
        tower.holds(&[&generation]).await;
    }
    let put = (11..=60).map(|id| upsert([&a, &b][id as usize % 2], vec![item(id)]));
    let put = futures::future::join_all(put).await;
    let last = put.iter().map(|put| put.as_ref().unwrap().delta).max();
    let last = last.unwrap();
    assert!(last < 50, "{last} deltas of 50 calls");
    let found = search_as_of(&rig, &a, &generation, last).await;
    check(&rig, &found, 1..=60);
    assert_eq!(found, search_as_of(&rig, &b, &generation, last).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_cannot_be_are_refused_by_field() {
    let rig = Rig::new().await;
    let generation = rig.publish(1..=40).await;
    let tower = rig.start(|config| config.updates.max_items = 1_001).await;
    tower.holds(&[&generation]).await;
    let key = |id: u64, key: &str| pb::Item {
        id,
        key: key.to_owned(),
        ..item(id)
    };
    let made = partition::item_id("sku-7");
    let numbered = |number| {
        let kind = Some(pb::feature_value::Kind::Number(number));
        let values = [("price".to_owned(), pb::FeatureValue { kind })];
        pb::Item {
            features: Some(pb::Features {
                values: values.into(),
            }),
            ..item(1)
        }
    };
    for (items, cause) in [
        (vec![], "items: has 0, must have 1 to 1000"),
        (vec![item(1); 1_001], "items: has 1001, must have 1 to 1000"),
        (vec![item(1), item(1)], "items: has item 1 twice"),
        (vec![item(0)], "items: has an item with neither id nor key"),
        (
            vec![numbered(f64::NAN)],
            "items: has an item whose price is NaN, it must be finite",
        ),
        (
            vec![key(4, "sku-7")],
            &format!("items: has id 4, the key \"sku-7\" makes {made}"),
        ),
    ] {
        let refused = upsert(&tower, items).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(refused.message(), cause);
    }
    let refused = delete(&tower, &[]).await.unwrap_err();
    assert_eq!(refused.message(), "items: has 0, must have 1 to 1000");

    assert_eq!(
        upsert(&tower, vec![key(0, "sku-7")])
            .await
            .unwrap()
            .not_embedded,
        [made]
    );
    let all: Vec<u64> = (1..=40).collect();
    let delta = delete(&tower, &all).await.unwrap();
    search_as_of(&rig, &tower, &generation, delta).await;
    let refused = upsert(&tower, vec![item(1); 1_000]).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(status::reason(&refused).as_deref(), Some(status::TAIL_FULL));
    assert!(refused.message().contains("at most 1001 may"), "{refused}");
}
