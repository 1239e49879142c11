//! One recall: what it answers, and what it says when part of the house is gone.

use std::time::Duration;

use generation::partition;
use proto::v1::{
    BatchRecallRequest, DegradedReason, Exclude, ItemRef, RecallOptions, RecallRequest,
    RecallResponse, Source, item_ref::Name, recall_result::Result as Outcome,
    recall_service_client::RecallServiceClient,
};
use service::status;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::house::{House, ITEMS, eventually, ids, score, shard_items, user};

pub(crate) fn item(id: u64) -> ItemRef {
    ItemRef {
        name: Some(Name::Id(id)),
    }
}

pub(crate) fn degraded(answer: &RecallResponse) -> Vec<DegradedReason> {
    answer.degraded_reasons().collect()
}

#[tokio::test]
async fn a_recall_is_the_best_of_all_shards_without_what_was_seen_or_excluded() {
    let (house, manifest) = House::usual().await;
    house.user_towers[0].see("u", &[1, 3]);
    let exclude = Exclude {
        items: vec![
            item(2),
            item(999_999),
            ItemRef {
                name: Some(Name::Key("no such item".to_owned())),
            },
        ],
        allow_seen: false,
    };
    let answer = house
        .recall(RecallRequest {
            exclude: Some(exclude),
            ..user("u", 5)
        })
        .await
        .unwrap();

    assert_eq!(ids(&answer), [4, 5, 6, 7, 8]);
    for found in &answer.candidates {
        assert_eq!(found.score, score(&manifest.id, found.id));
        assert_eq!(found.source(), Source::Ann);
    }
    assert_eq!(
        (answer.generation, answer.space),
        (manifest.id, manifest.space)
    );
    assert!(answer.degraded_reasons.is_empty());
    assert!(!answer.cold_start);
    let coverage = answer.coverage.unwrap();
    assert_eq!(coverage.fraction, 1.0);
    assert_eq!(coverage.items_eligible, ITEMS - 3);
    assert_eq!(coverage.items_total, ITEMS);
    assert_eq!((coverage.shards_answered, coverage.shards_total), (2, 2));
    house.close().await;
}

#[tokio::test]
async fn seen_items_come_back_when_allowed() {
    let (house, _) = House::usual().await;
    house.user_towers[0].see("u", &[1, 3]);
    let exclude = Exclude {
        items: vec![item(2)],
        allow_seen: true,
    };
    let request = RecallRequest {
        exclude: Some(exclude),
        ..user("u", 3)
    };
    assert_eq!(ids(&house.recall(request).await.unwrap()), [1, 3, 4]);
}

#[tokio::test]
async fn an_unknown_user_gets_a_cold_start() {
    let (house, _) = House::usual().await;
    let answer = house.recall(user("nobody", 0)).await.unwrap();
    assert!(answer.cold_start);
    assert_eq!(ids(&answer), (1..=100).collect::<Vec<_>>());
    assert!(answer.degraded_reasons.is_empty());
}

#[tokio::test]
async fn an_exact_search_says_so() {
    let (house, _) = House::usual().await;
    let options = RecallOptions {
        exact: true,
        ..Default::default()
    };
    let request = RecallRequest {
        options: Some(options),
        ..user("u", 2)
    };
    let answer = house.recall(request).await.unwrap();
    assert!(answer.coverage.unwrap().exact);
    assert_eq!(answer.candidates[0].source(), Source::Exact);
}

#[tokio::test]
async fn a_page_over_the_limit_is_refused_by_name() {
    let (house, _) = House::usual().await;
    let refused = house.recall(user("u", 1_001)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let details = refused.get_details_bad_request().unwrap();
    assert_eq!(details.field_violations[0].field, "page_size");
    assert_eq!(
        details.field_violations[0].description,
        "is 1001, at most 1000 is allowed"
    );
    house.recall(user("u", 1_000)).await.unwrap();
}

#[tokio::test]
async fn a_field_that_the_user_tower_refuses_keeps_the_callers_name() {
    let (house, _) = House::usual().await;
    let refused = house.recall(user(&"u".repeat(300), 5)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "user_id: is too long");
}

#[tokio::test]
async fn a_generation_that_nobody_holds_is_a_failed_precondition() {
    let (house, _) = House::usual().await;
    let request = RecallRequest {
        generation: "20200101T000000Z-00000000".to_owned(),
        ..user("u", 5)
    };
    let refused = house.recall(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(
        status::reason(&refused).as_deref(),
        Some(status::GENERATION_NOT_HELD)
    );
}

#[tokio::test]
async fn a_user_of_another_space_is_refused() {
    let (house, _) = House::usual().await;
    house.user_towers[0].state().space = Some("elsewhere".to_owned());
    let refused = house.recall(user("u", 5)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(
        status::reason(&refused).as_deref(),
        Some(status::SPACE_MISMATCH)
    );
    assert!(house.item_towers[0].state().searches.is_empty());
}

#[tokio::test]
async fn titles_come_with_the_candidates_when_asked_for() {
    let (house, _) = House::usual().await;
    let options = RecallOptions {
        with_item: true,
        ..Default::default()
    };
    let request = RecallRequest {
        options: Some(options),
        ..user("u", 10)
    };
    let answer = house.recall(request.clone()).await.unwrap();
    for found in answer.candidates {
        assert_eq!(found.item.unwrap().title, format!("item {}", found.id));
    }

    house.item_towers[1].state().no_items = true;
    let answer = house.recall(request).await.unwrap();
    assert_eq!(degraded(&answer), [DegradedReason::ItemsMissing]);
    for found in answer.candidates {
        let is_first = partition::shard_of(found.id, 2) == 0;
        assert_eq!(found.item.is_some(), is_first);
    }
}

#[tokio::test]
async fn a_dead_shard_leaves_a_partial_answer() {
    let (mut house, _) = House::usual().await;
    house.user_towers[0].see("u", &[1, 2, 3, 4]);
    house.item_towers[1].kill();

    let answer = house.recall(user("u", 100)).await.unwrap();
    let seen = |id: &u64| (1..=4).contains(id);
    let mut expected = shard_items(0, 2);
    expected.retain(|id| !seen(id));
    // All that were asked for come, though each shard is asked for fewer at first.
    assert_eq!(ids(&answer), expected[..100]);
    assert_eq!(degraded(&answer), [DegradedReason::ShardUnreachable]);
    let coverage = answer.coverage.unwrap();
    assert_eq!((coverage.shards_answered, coverage.shards_total), (1, 2));
    assert_eq!(coverage.items_searched, expected.len() as u64);
    // How many of the excluded the dead shard holds is not known: it counts in full.
    let eligible = expected.len() + shard_items(1, 2).len();
    assert_eq!(coverage.items_eligible, eligible as u64);
    assert_eq!(coverage.fraction, expected.len() as f64 / eligible as f64);

    let options = RecallOptions {
        min_coverage: 0.9,
        ..Default::default()
    };
    let request = RecallRequest {
        options: Some(options),
        ..user("u", 100)
    };
    let refused = house.recall(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(
        status::reason(&refused).as_deref(),
        Some(status::COVERAGE_TOO_LOW)
    );
}

#[tokio::test]
async fn a_shard_that_hangs_is_left_out_at_the_soft_deadline() {
    let (house, _) = House::usual().await;
    house.item_towers[0].state().hangs = true;
    let answer = house
        .recall_within(Duration::from_secs(3), user("u", 100))
        .await
        .unwrap();
    assert_eq!(ids(&answer), shard_items(1, 2)[..100]);
    assert_eq!(degraded(&answer), [DegradedReason::Deadline]);
    assert!(answer.coverage.unwrap().fraction < 1.0);
}

#[tokio::test]
async fn a_recall_too_many_is_refused_and_the_recalls_of_a_batch_wait() {
    let mut house = House::new(2, 1).await;
    let manifest = house.publish("space-a", 2).await;
    house.hold(&manifest, &[&[0], &[1]]);
    house.config.recall.concurrency = 1;
    house.open().await;
    house.pinned(&manifest.id).await;
    house.item_towers[0].state().hangs = true;
    let slow = house.recall_within(Duration::from_secs(2), user("u", 10));
    let others = async {
        eventually("one is under way", async || {
            house.item_towers[0].state().hung > 0
        })
        .await;
        let refused = house.recall(user("v", 10)).await.unwrap_err();
        house.item_towers[0].state().hangs = false;
        let mut client = RecallServiceClient::new(house.channel());
        let batch = BatchRecallRequest {
            recalls: vec![user("v", 10), user("w", 10)],
        };
        (refused, client.batch_recall(batch).await.unwrap())
    };
    let (slow, (refused, batch)) = tokio::join!(slow, others);
    slow.unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let reason = status::reason(&refused);
    assert_eq!(reason.as_deref(), Some(status::OVERLOADED));
    assert!(refused.get_details_retry_info().is_some());
    for one in batch.into_inner().results {
        assert!(matches!(one.result, Some(Outcome::Answer(_))), "{one:?}");
    }
}

#[tokio::test]
async fn a_dead_replica_costs_nothing() {
    let mut house = House::new(2, 1).await;
    let manifest = house.publish("space-a", 2).await;
    house.hold(&manifest, &[&[0, 1], &[0, 1]]);
    // No poll tells of the death; each recall must find out for itself.
    house.config.topology.refresh = Duration::from_secs(3_600);
    house.open().await;
    house.pinned(&manifest.id).await;
    house.item_towers[0].kill();
    for _ in 0..20 {
        let answer = house.recall(user("u", 10)).await.unwrap();
        assert_eq!(ids(&answer), (1..=10).collect::<Vec<_>>());
        assert!(answer.degraded_reasons.is_empty());
        assert_eq!(answer.coverage.unwrap().fraction, 1.0);
    }
}

#[tokio::test]
async fn one_call_a_member_names_all_its_shards() {
    let mut house = House::new(1, 1).await;
    let manifest = house.publish("space-a", 4).await;
    house.hold(&manifest, &[&[0, 1, 2, 3]]);
    house.open().await;
    house.pinned(&manifest.id).await;
    house.recall(user("u", 10)).await.unwrap();
    let searches = house.item_towers[0].state().searches.clone();
    assert_eq!(searches.len(), 1);
    assert_eq!(searches[0].shards.len(), 4);
}
