//! What a recall answers when the user's owner is gone, slow, or has nothing to search with.

use std::time::Duration;

use proto::v1::{
    DegradedReason, DeleteUserRequest, Event, Exclude, RecallOptions, RecallRequest, Source,
    UserContext, event_service_client::EventServiceClient,
};
use service::status;
use tonic::Code;

use crate::{
    house::{DIM, House, ITEMS, eventually, ids, user},
    recall::{degraded, item},
};

#[tokio::test]
async fn a_dead_owner_gives_popular_items_and_says_so() {
    let (mut house, _) = House::usual().await;
    house.user_towers[0].kill();
    let context = UserContext {
        history: vec![Event {
            item: Some(item(ITEMS)),
            ..Default::default()
        }],
        ..Default::default()
    };
    let request = RecallRequest {
        context: Some(context),
        exclude: Some(Exclude {
            items: vec![item(ITEMS - 1)],
            allow_seen: false,
        }),
        ..user("u", 3)
    };
    let answer = house.recall(request.clone()).await.unwrap();
    assert_eq!(ids(&answer), [ITEMS - 2, ITEMS - 3, ITEMS - 4]);
    assert!(
        answer
            .candidates
            .iter()
            .all(|found| found.source() == Source::Popular)
    );
    assert_eq!(
        degraded(&answer),
        [
            DegradedReason::UserTowerDown,
            DegradedReason::FallbackPopular
        ]
    );
    let coverage = answer.coverage.unwrap();
    assert_eq!((coverage.fraction, coverage.items_eligible), (0.0, ITEMS));

    let options = RecallOptions {
        min_coverage: 0.5,
        ..Default::default()
    };
    let request = RecallRequest {
        options: Some(options),
        ..request
    };
    let refused = house.recall(request).await.unwrap_err();
    assert_eq!(
        status::reason(&refused).as_deref(),
        Some(status::COVERAGE_TOO_LOW)
    );
}

#[tokio::test]
async fn who_was_embedded_before_is_answered_by_that_while_the_owner_is_dead() {
    let (mut house, _) = House::usual().await;
    house.user_towers[0].see("u", &[1, 2]);
    house.recall(user("u", 3)).await.unwrap();
    house.user_towers[0].kill();
    let answer = house.recall(user("u", 3)).await.unwrap();
    assert_eq!(ids(&answer), [3, 4, 5]);
    assert_eq!(
        degraded(&answer),
        [DegradedReason::UserTowerDown, DegradedReason::StaleHistory]
    );
    // Who is deleted is forgotten, even if nobody can say so to the owner.
    let request = DeleteUserRequest {
        user_id: "u".to_owned(),
        ..Default::default()
    };
    let mut client = EventServiceClient::new(house.channel());
    client.delete_user(request).await.unwrap_err();
    let answer = house.recall(user("u", 3)).await.unwrap();
    assert!(degraded(&answer).contains(&DegradedReason::FallbackPopular));
}

#[tokio::test]
async fn a_history_that_lacks_what_the_caller_recorded_is_said_to_be_stale() {
    let (mut house, _) = House::usual().await;
    let request = RecallRequest {
        consistency_token: "1-2".to_owned(),
        ..user("u", 3)
    };
    let answer = house.recall(request.clone()).await.unwrap();
    assert_eq!(degraded(&answer), [DegradedReason::StaleHistory]);
    assert!(
        house
            .recall(user("u", 3))
            .await
            .unwrap()
            .degraded_reasons
            .is_empty()
    );
    // Nobody knows whether it is there while the owner is down.
    house.user_towers[0].kill();
    let answer = house.recall(request).await.unwrap();
    assert!(degraded(&answer).contains(&DegradedReason::StaleHistory));
    let answer = house.recall(user("another", 3)).await.unwrap();
    assert!(!degraded(&answer).contains(&DegradedReason::StaleHistory));
}

#[tokio::test]
async fn interests_of_zero_are_not_searched_and_the_others_keep_their_numbers() {
    let (house, _) = House::usual().await;
    house.user_towers[0].state().interests = Some([[0.0; DIM], [1.0; DIM]].concat());
    let answer = house.recall(user("u", 3)).await.unwrap();
    assert_eq!(ids(&answer), [1, 2, 3]);
    assert!(answer.candidates.iter().all(|found| found.interest == 1));
    assert!(answer.degraded_reasons.is_empty());
    let searches = house.item_towers[0].state().searches.clone();
    let searched = searches[0].interests.as_ref().unwrap();
    assert_eq!(searched.f32.len(), DIM * size_of::<f32>());
}

#[tokio::test]
async fn a_user_without_interests_gets_popular_items_they_have_not_seen() {
    let (house, _) = House::usual().await;
    house.user_towers[0].state().interests = Some(vec![0.0; 2 * DIM]);
    house.user_towers[0].see("u", &[ITEMS - 1]);
    let answer = house.recall(user("u", 3)).await.unwrap();
    assert_eq!(ids(&answer), [ITEMS, ITEMS - 2, ITEMS - 3]);
    assert_eq!(degraded(&answer), [DegradedReason::FallbackPopular]);
    assert!(house.item_towers[0].state().searches.is_empty());
}

#[tokio::test]
async fn an_owner_that_hangs_gives_popular_items_in_time() {
    let (house, _) = House::usual().await;
    house.user_towers[0].state().hangs = true;
    let answer = house
        .recall_within(Duration::from_secs(3), user("u", 3))
        .await
        .unwrap();
    assert_eq!(ids(&answer), [ITEMS, ITEMS - 1, ITEMS - 2]);
}

#[tokio::test]
async fn a_described_user_is_embedded_by_whoever_is_left() {
    let mut house = House::new(1, 2).await;
    let manifest = house.publish("space-a", 1).await;
    house.hold(&manifest, &[&[0]]);
    house.open().await;
    house.pinned(&manifest.id).await;
    house.user_towers[0].kill();
    let context = UserContext {
        history: vec![Event {
            item: Some(item(1)),
            ..Default::default()
        }],
        ..Default::default()
    };
    for _ in 0..10 {
        let request = RecallRequest {
            context: Some(context.clone()),
            ..user("", 2)
        };
        let answer = house.recall(request).await.unwrap();
        assert_eq!(ids(&answer), [2, 3]);
        assert!(answer.degraded_reasons.is_empty());
    }
}

#[tokio::test]
async fn with_everything_down_a_recall_is_unavailable() {
    let (mut house, _) = House::usual().await;
    for tower in &mut house.item_towers {
        tower.kill();
    }
    let refused = house.recall(user("u", 5)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    house.user_towers[0].kill();
    eventually("the user tower is missed", async || {
        let refused = house.recall(user("another", 5)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        refused.message().contains("item tower")
    })
    .await;
}
