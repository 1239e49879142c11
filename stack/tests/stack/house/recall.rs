//! Recall, events and catalog through the gateway.

use std::collections::BTreeSet;

use onnx::{dataset::split::ItemSet, evaluate};
use proto::v1::{
    Candidate, Event, GetUserRequest, ItemRef, RecallRequest, RecallResponse, RecordEventsRequest,
    UserContext, event_service_client::EventServiceClient, item_ref::Name,
    recall_service_client::RecallServiceClient,
};
use stack::served;
use tonic::{Code, Status};

use crate::house::support::{RUNTIME, SMALL};

pub(crate) async fn recall(request: RecallRequest) -> Result<RecallResponse, Status> {
    let answer = RecallServiceClient::new(SMALL.gateway().await)
        .recall(request)
        .await;
    answer.map(tonic::Response::into_inner)
}

pub(crate) fn user(index: usize) -> RecallRequest {
    RecallRequest {
        user_id: SMALL.dataset().users[index].id.clone(),
        ..Default::default()
    }
}

pub(crate) fn ids(candidates: &[Candidate]) -> BTreeSet<u64> {
    candidates.iter().map(|candidate| candidate.id).collect()
}

pub(crate) fn item(id: u64) -> Option<ItemRef> {
    Some(ItemRef {
        name: Some(Name::Id(id)),
    })
}

/// What a user has seen, as far as it was imported.
pub(crate) async fn seen(user_id: &str) -> BTreeSet<u64> {
    let request = GetUserRequest {
        user_id: user_id.to_owned(),
        newest: 200,
        ..Default::default()
    };
    let user = EventServiceClient::new(SMALL.gateway().await)
        .get_user(request)
        .await
        .unwrap()
        .into_inner();
    let name = |event: &Event| event.item.clone().and_then(|item| item.name);
    user.history
        .iter()
        .filter_map(name)
        .map(|name| match name {
            Name::Id(id) => id,
            Name::Key(key) => panic!("{key} in a catalog of numbers"),
        })
        .collect()
}

#[test]
fn a_user_is_recommended_unseen_items_of_one_generation_best_first() {
    RUNTIME.block_on(async {
        let answer = recall(RecallRequest {
            page_size: 20,
            ..user(3)
        })
        .await
        .unwrap();
        assert_eq!(answer.candidates.len(), 20);
        assert_eq!(answer.generation, SMALL.generation);
        assert_eq!(answer.space, SMALL.prepared.evaluation.space);
        assert!(answer.candidates.is_sorted_by(|a, b| a.score >= b.score));
        assert!(ids(&answer.candidates).is_disjoint(&seen(&user(3).user_id).await));

        let coverage = answer.coverage.unwrap();
        assert_eq!(
            (
                coverage.fraction,
                coverage.shards_answered,
                coverage.shards_total
            ),
            (1.0, 2, 2)
        );
        assert_eq!(coverage.items_searched, coverage.items_eligible);
        assert!(answer.degraded_reasons.is_empty());
        assert!(!answer.cold_start);
    });
}

#[test]
fn what_is_served_is_what_offline_evaluation_recommends() {
    let small = &*SMALL;
    let offline = evaluate::answers(
        &small.prepared.artifact,
        small.dataset(),
        ItemSet::S,
        40,
        10,
    )
    .unwrap();
    let compared = RUNTIME.block_on(async {
        served::compare(
            small.gateway().await,
            &small.generation,
            small.dataset(),
            &offline,
        )
        .await
        .unwrap()
    });
    assert!(compared.users >= 30);
    assert_eq!(compared.equal, compared.users);
}

#[test]
fn a_recorded_event_counts_in_the_very_next_recall() {
    RUNTIME.block_on(async {
        let newcomer = || RecallRequest {
            user_id: "newcomer".to_owned(),
            ..Default::default()
        };
        let before = recall(newcomer()).await.unwrap();
        assert!(before.cold_start);
        let watched = before.candidates[0].id;
        let event = Event {
            user_id: newcomer().user_id,
            item: item(watched),
            r#type: "rating".to_owned(),
            value: 5.0,
            time: 1_000_000_000,
            event_id: "0190".to_owned(),
        };
        let mut events = EventServiceClient::new(SMALL.gateway().await);
        let request = RecordEventsRequest {
            events: vec![event],
            ..Default::default()
        };
        let first = events
            .record_events(request.clone())
            .await
            .unwrap()
            .into_inner();
        let again = events.record_events(request).await.unwrap().into_inner();
        assert_eq!((first.recorded, first.duplicates), (1, 0));
        assert_eq!((again.recorded, again.duplicates), (0, 1));

        let after = recall(newcomer()).await.unwrap();
        assert!(!after.cold_start);
        assert!(!ids(&after.candidates).contains(&watched));
        assert_ne!(
            after.candidates[0].score, before.candidates[1].score,
            "the event changed the user's vector"
        );
    });
}

#[test]
fn an_unknown_user_and_an_empty_history_are_answered_as_cold_starts() {
    RUNTIME.block_on(async {
        for request in [
            RecallRequest {
                user_id: "nobody ever heard of".to_owned(),
                ..Default::default()
            },
            RecallRequest {
                context: Some(UserContext::default()),
                ..Default::default()
            },
        ] {
            let answer = recall(request).await.unwrap();
            assert!(answer.cold_start);
            assert!(!answer.candidates.is_empty());
            assert_eq!(answer.generation, SMALL.generation);
        }
    });
}

#[test]
fn a_stateless_caller_brings_the_history_along() {
    RUNTIME.block_on(async {
        let stored = recall(RecallRequest {
            page_size: 10,
            ..user(11)
        })
        .await
        .unwrap();
        let known = EventServiceClient::new(SMALL.gateway().await)
            .get_user(GetUserRequest {
                user_id: user(11).user_id,
                newest: 200,
                ..Default::default()
            })
            .await
            .unwrap()
            .into_inner();
        let context = UserContext {
            features: known.profile,
            history: known.history,
        };
        let stateless = recall(RecallRequest {
            context: Some(context),
            page_size: 10,
            ..Default::default()
        })
        .await
        .unwrap();
        let list =
            |answer: &RecallResponse| answer.candidates.iter().map(|c| c.id).collect::<Vec<_>>();
        assert_eq!(list(&stored), list(&stateless));
    });
}

#[test]
fn no_page_size_means_the_default_and_one_over_the_limit_is_refused_by_name() {
    RUNTIME.block_on(async {
        let default = recall(RecallRequest {
            page_size: 0,
            ..user(2)
        })
        .await
        .unwrap();
        let eligible = default.coverage.unwrap().items_eligible as usize;
        assert_eq!(default.candidates.len(), eligible.min(100));

        let refused = recall(RecallRequest {
            page_size: 1_001,
            ..user(2)
        })
        .await
        .unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(
            refused.message().contains("page_size"),
            "{}",
            refused.message()
        );
        assert!(
            refused.message().contains("1001") && refused.message().contains("1000"),
            "{}",
            refused.message()
        );
    });
}

#[test]
fn a_generation_that_nobody_holds_is_refused() {
    RUNTIME.block_on(async {
        let request = RecallRequest {
            generation: "20200101T000000Z-00000000".to_owned(),
            ..user(0)
        };
        let refused = recall(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(
            refused.message().contains("20200101T000000Z-00000000"),
            "{}",
            refused.message()
        );
    });
}
