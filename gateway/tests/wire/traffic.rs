//! Promote, roll back and give a candidate a share: by any gateway, for all of them.

use std::collections::BTreeSet;

use generation::{
    manifest::Manifest,
    store::{Candidate, Current},
    traffic::set_candidate,
};
use proto::v1::{
    GetTrafficRequest, GetVerdictRequest, PromoteGenerationRequest, RollbackGenerationRequest,
    SetTrafficPolicyRequest, Traffic, Variant, WatchGenerationRequest,
    generation_service_client::GenerationServiceClient,
    traffic_service_client::TrafficServiceClient,
};
use service::status;
use tonic::{Code, transport::Channel};

use crate::house::{House, eventually, recall_of, user};

/// Two gateways over towers that hold two generations; the second is the candidate.
async fn two() -> (House, [Channel; 2], Manifest, Manifest) {
    let mut house = House::new(2, 1).await;
    house.config.traffic.serve = true;
    let old = house.publish("space-a", 2).await;
    house.hold(&old, &[&[0], &[1]]);
    house.open().await;
    house.pinned(&old.id).await;
    let new = house.publish("space-b", 2).await;
    house.hold(&new, &[&[0], &[1]]);
    let found = house.store.current().await.unwrap().unwrap();
    let before = Current {
        candidate: None,
        ..Current::of(&old.id)
    };
    let swapped = house.store.swap_current(Some(&found.version), &before);
    swapped.await.unwrap();
    let candidate = Candidate {
        generation: new.id.clone(),
        share: 0.0,
        shadow: 0.0,
    };
    set_candidate(&house.store, Some(candidate)).await.unwrap();
    house.pinned(&old.id).await;
    let gateways = [house.channel(), house.open_another().await];
    (house, gateways, old, new)
}

async fn traffic(gateway: &Channel) -> Traffic {
    let mut client = TrafficServiceClient::new(gateway.clone());
    let answer = client.get_traffic(GetTrafficRequest {}).await;
    answer.unwrap().into_inner().traffic.unwrap()
}

async fn policy(gateway: &Channel, candidate: &str, share: f64) -> Result<(), tonic::Status> {
    let request = SetTrafficPolicyRequest {
        candidate: candidate.to_owned(),
        candidate_share: share,
        shadow_share: 0.0,
    };
    let mut client = TrafficServiceClient::new(gateway.clone());
    client.set_traffic_policy(request).await.map(drop)
}

/// The users whom the candidate answers.
async fn taken(gateway: &Channel, new: &Manifest) -> BTreeSet<u32> {
    let mut taken = BTreeSet::new();
    for number in 0..60 {
        let answer = recall_of(gateway, user(&number.to_string(), 1)).await;
        let answer = answer.unwrap();
        assert_eq!(
            answer.variant() == Variant::Candidate,
            answer.generation == new.id
        );
        if answer.variant() == Variant::Candidate {
            taken.insert(number);
        }
    }
    taken
}

#[tokio::test]
async fn all_gateways_give_a_candidate_the_same_users() {
    let (_house, gateways, old, new) = two().await;
    assert!(taken(&gateways[0], &new).await.is_empty());
    policy(&gateways[0], &new.id, 0.5).await.unwrap();
    let mine = taken(&gateways[0], &new).await;
    assert!(!mine.is_empty() && mine.len() < 60);
    eventually("the other gateway goes by the policy", async || {
        taken(&gateways[1], &new).await == mine
    })
    .await;

    policy(&gateways[1], &new.id, 1.0).await.unwrap();
    assert_eq!(taken(&gateways[1], &new).await.len(), 60);
    policy(&gateways[1], "", 0.0).await.unwrap();
    let now = traffic(&gateways[1]).await;
    assert_eq!((now.candidate.as_str(), now.candidate_share), ("", 0.0));
    assert_eq!((now.serving, now.pinned), (old.id.clone(), old.id));
}

#[tokio::test]
async fn a_candidate_answers_its_share_of_recalls_unseen_and_is_compared() {
    let (house, gateways, old, new) = two().await;
    let mut client = TrafficServiceClient::new(gateways[0].clone());
    let mut shadow = async |share| {
        let request = SetTrafficPolicyRequest {
            candidate: new.id.clone(),
            candidate_share: 0.0,
            shadow_share: share,
        };
        client.set_traffic_policy(request).await.unwrap();
        client
            .get_verdict(GetVerdictRequest {})
            .await
            .unwrap()
            .into_inner()
    };
    let recalls = async |count: u32| {
        for number in 0..count {
            let answer = recall_of(&gateways[0], user(&number.to_string(), 5)).await;
            assert_eq!(answer.unwrap().generation, old.id);
        }
    };
    assert_eq!(shadow(1.0).await.recalls, 0);
    recalls(20).await;
    let verdict = async || {
        let mut client = TrafficServiceClient::new(gateways[0].clone());
        let verdict = client.get_verdict(GetVerdictRequest {}).await;
        verdict.unwrap().into_inner()
    };
    eventually("all of them are compared", async || {
        let found = verdict().await;
        found.recalls + found.skipped == 20
    })
    .await;
    let found = verdict().await;
    assert_eq!((&found.serving, &found.candidate), (&old.id, &new.id));
    assert_eq!((found.failed, found.overlap), (0, 1.0));
    assert_eq!(found.of_candidate.unwrap().coverage, 1.0);

    shadow(0.0).await;
    recalls(20).await;
    // One more that is compared comes after all that were to be.
    shadow(1.0).await;
    recalls(1).await;
    eventually("it is compared", async || {
        let found = verdict().await;
        found.recalls + found.skipped > 20
    })
    .await;
    let found = verdict().await;
    assert_eq!(found.recalls + found.skipped, 21);
    // Whoever asks for shares beyond all recalls is told which.
    let request = SetTrafficPolicyRequest {
        candidate: new.id.clone(),
        candidate_share: 0.0,
        shadow_share: 2.0,
    };
    let mut client = TrafficServiceClient::new(gateways[0].clone());
    let refused = client.set_traffic_policy(request).await.unwrap_err();
    assert!(
        refused.message().starts_with("shadow_share: is 2"),
        "{refused}"
    );
    drop(house);
}

#[tokio::test]
async fn the_candidate_is_promoted_and_rolled_back_for_all_gateways() {
    let (_house, gateways, old, new) = two().await;
    let mut client = TrafficServiceClient::new(gateways[0].clone());
    for generation in ["", new.id.as_str()] {
        let request = PromoteGenerationRequest {
            generation: generation.to_owned(),
        };
        let promoted = client.promote_generation(request).await;
        let now = promoted.unwrap().into_inner().traffic.unwrap();
        assert_eq!((&now.serving, &now.previous), (&new.id, &old.id));
    }
    let now = traffic(&gateways[0]).await;
    assert_eq!((&now.pinned, now.candidate.as_str()), (&new.id, ""));
    let answers_from = async |gateway: &Channel, generation: &str| {
        eventually("it answers from it", async || {
            let answer = recall_of(gateway, user("u", 1)).await.unwrap();
            answer.generation == generation
        })
        .await;
    };
    answers_from(&gateways[1], &new.id).await;

    // A call that is made again, for its answer was lost, changes nothing more.
    for _ in 0..2 {
        let request = RollbackGenerationRequest {
            from: new.id.clone(),
        };
        let rolled_back = client.rollback_generation(request).await;
        let now = rolled_back.unwrap().into_inner().traffic.unwrap();
        assert_eq!((&now.serving, &now.previous), (&old.id, &new.id));
    }
    answers_from(&gateways[0], &old.id).await;
    answers_from(&gateways[1], &old.id).await;
}

#[tokio::test]
async fn what_the_members_do_not_hold_whole_is_not_promoted() {
    let (house, gateways, old, new) = two().await;
    house.item_towers[1].drop_generation(&new.id);
    let mut client = TrafficServiceClient::new(gateways[0].clone());
    let refused = client
        .promote_generation(PromoteGenerationRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let reason = status::reason(&refused);
    assert_eq!(reason.as_deref(), Some(status::GENERATION_NOT_HELD));
    assert_eq!(traffic(&gateways[0]).await.serving, old.id);
    for (candidate, share, field) in [
        (new.id.as_str(), 1.5, "candidate_share"),
        ("", 0.5, "candidate"),
    ] {
        let refused = policy(&gateways[0], candidate, share).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with(field), "{refused}");
    }
}

#[tokio::test]
async fn a_gateway_that_may_not_decide_has_no_such_service() {
    let (house, _) = House::usual().await;
    let refused = policy(&house.channel(), "", 0.0).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
}

#[tokio::test]
async fn whoever_watches_is_told_of_a_new_generation() {
    let (house, old) = House::usual().await;
    let mut client = GenerationServiceClient::new(house.channel());
    let watched = client.watch_generation(WatchGenerationRequest::default());
    let mut watched = watched.await.unwrap().into_inner();
    let first = watched.message().await.unwrap().unwrap();
    assert_eq!(first.generations[0].id, old.id);
    let new = house.publish("space-b", 2).await;
    house.hold(&new, &[&[0], &[1]]);
    loop {
        let held = watched.message().await.unwrap().unwrap().generations;
        let serving = held.iter().find(|held| held.serving).unwrap();
        if serving.id == new.id {
            break;
        }
        assert_eq!(serving.id, old.id);
    }
}
