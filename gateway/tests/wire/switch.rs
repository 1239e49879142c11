//! Which generation answers, and that one answers end to end.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::future::join_all;
use proto::v1::RecallRequest;
use service::status;
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::house::{House, eventually, score, user};

pub(crate) async fn health(house: &House, service: &str) -> ServingStatus {
    let request = HealthCheckRequest {
        service: format!("twotower.v1.{service}"),
    };
    let answer = HealthClient::new(house.channel()).check(request).await;
    answer.unwrap().into_inner().status()
}

#[tokio::test]
async fn recall_is_healthy_once_a_generation_is_pinned() {
    let mut house = House::new(2, 1).await;
    house.open().await;
    eventually("the other services are healthy", async || {
        health(&house, "EventService").await == ServingStatus::Serving
    })
    .await;
    assert_eq!(
        health(&house, "RecallService").await,
        ServingStatus::NotServing
    );
    let refused = house.recall(user("u", 5)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(
        status::reason(&refused).as_deref(),
        Some(status::NO_GENERATION)
    );

    let manifest = house.publish("space-a", 2).await;
    house.hold(&manifest, &[&[0], &[1]]);
    eventually("recall is healthy", async || {
        health(&house, "RecallService").await == ServingStatus::Serving
    })
    .await;
    house.recall(user("u", 5)).await.unwrap();
}

#[tokio::test]
async fn a_gateway_that_has_just_begun_answers_its_first_recall() {
    let mut house = House::new(2, 1).await;
    let manifest = house.publish("space-a", 2).await;
    house.hold(&manifest, &[&[0], &[1]]);
    house.config.topology.timeout = Duration::from_secs(10);
    house.open().await;
    let answer = house.recall(user("u", 5)).await.unwrap();
    assert_eq!(answer.candidates.len(), 5);
    assert!(answer.degraded_reasons.is_empty(), "{answer:?}");
}

#[tokio::test]
async fn a_new_generation_answers_once_every_tower_holds_it() {
    let (house, old) = House::usual().await;
    let new = house.publish("space-b", 2).await;
    let answered = async || house.recall(user("u", 5)).await.unwrap().generation;
    house.item_towers[0].hold(&new, &[0]);
    assert_eq!(answered().await, old.id);
    house.item_towers[1].hold(&new, &[1]);
    assert_eq!(answered().await, old.id);
    house.user_towers[0].hold(&new);
    house.pinned(&new.id).await;
    assert_eq!(answered().await, new.id);

    let request = RecallRequest {
        generation: old.id.clone(),
        ..user("u", 5)
    };
    assert_eq!(house.recall(request).await.unwrap().generation, old.id);
}

#[tokio::test]
async fn towers_that_moved_on_cost_a_fresh_look_and_no_failure() {
    let mut house = House::new(2, 1).await;
    let old = house.publish("space-a", 2).await;
    house.hold(&old, &[&[0], &[1]]);
    house.config.topology.refresh = Duration::from_secs(3_600);
    house.open().await;
    house.pinned(&old.id).await;

    let new = house.publish("space-b", 2).await;
    house.hold(&new, &[&[0], &[1]]);
    for tower in &house.item_towers {
        tower.drop_generation(&old.id);
    }
    let answer = house.recall(user("u", 5)).await.unwrap();
    assert_eq!(answer.generation, new.id);
    assert_eq!(answer.space, new.space);
    assert!(answer.degraded_reasons.is_empty());
}

#[tokio::test]
async fn members_that_refuse_what_they_list_are_asked_again_within_the_budget_only() {
    const RECALLS: usize = 300;
    let (house, _) = House::usual().await;
    for tower in &house.item_towers {
        tower.state().refuses = true;
    }
    for _ in 0..RECALLS {
        let refused = house.recall(user("u", 5)).await.unwrap_err();
        let reason = status::reason(&refused);
        assert_eq!(reason.as_deref(), Some(status::GENERATION_NOT_HELD));
    }
    let towers = house.item_towers.iter();
    let searches: usize = towers.map(|tower| tower.state().searches.len()).sum();
    // A search of each of the two to a recall, and at first as many more as the budget keeps for such times.
    assert!(searches < 3 * RECALLS, "{searches}");
}

/// Recalls all the time while generations come and go; each answer must be of one of them, whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switching_under_load_never_fails_and_never_mixes() {
    const SWITCHES: usize = 12;
    let (house, first) = House::usual().await;
    let house = Arc::new(house);
    let done = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..6)
        .map(|caller| {
            let (house, done) = (Arc::clone(&house), Arc::clone(&done));
            tokio::spawn(async move {
                let mut answered = BTreeSet::new();
                while !done.load(Relaxed) {
                    let user = user(&format!("u{caller}"), 20);
                    let answer = house.recall(user).await.unwrap();
                    assert!(answer.degraded_reasons.is_empty(), "{answer:?}");
                    assert_eq!(answer.candidates.len(), 20);
                    for found in &answer.candidates {
                        assert_eq!(found.score, score(&answer.generation, found.id), "mixed");
                    }
                    answered.insert(answer.generation);
                }
                answered
            })
        })
        .collect();

    let mut before = first;
    for switch in 0..SWITCHES {
        // Shards come and go too: a member holds another one of each new generation.
        let shards: [&[u32]; 2] = [[&[0][..], &[1]], [&[1, 2], &[0]]][switch % 2];
        let count = shards.concat().len() as u32;
        let new = house.publish(&format!("space-{switch}"), count).await;
        house.hold(&new, &shards);
        house.pinned(&new.id).await;
        for tower in &house.item_towers {
            let mut state = tower.state();
            state.held.retain(|id, _| *id >= before.id);
        }
        before = new;
    }
    done.store(true, Relaxed);
    let answered: BTreeSet<_> = join_all(callers)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    assert!(answered.len() > 1, "{answered:?}");
    let searches = house.item_towers[0].state().searches.clone();
    assert!(searches.len() > SWITCHES);
}
