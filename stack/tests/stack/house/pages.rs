//! Page after page, and the same answer once more.

use proto::v1::{
    Event, FeatureValue, Features, PutUserProfileRequest, RecallOptions, RecallRequest,
    RecallResponse, RecordEventsRequest, ReplayRecallRequest, ReplayRecallResponse, UserQuery,
    event_service_client::EventServiceClient, feature_value::Kind,
    recall_service_client::RecallServiceClient,
};
use service::status;
use tonic::{Code, Status};

use crate::house::{
    recall::{item, recall},
    support::{RUNTIME, SMALL},
    truth::Truth,
};

fn listing(user: &str, page_size: u32) -> RecallRequest {
    RecallRequest {
        user_id: user.to_owned(),
        page_size,
        options: Some(RecallOptions {
            with_tokens: true,
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Records that a user did something with items.
async fn record(user: &str, items: &[u64], from: i64) {
    let event = |(at, id): (usize, &u64)| Event {
        user_id: user.to_owned(),
        item: item(*id),
        r#type: "rating".to_owned(),
        value: 5.0,
        time: from + at as i64,
        event_id: format!("{from}-{at}"),
    };
    let request = RecordEventsRequest {
        events: items.iter().enumerate().map(event).collect(),
        ..Default::default()
    };
    let mut events = EventServiceClient::new(SMALL.gateway().await);
    let answer = events.record_events(request).await.unwrap().into_inner();
    assert_eq!(answer.recorded as usize, items.len());
}

async fn replay(
    recall: RecallRequest,
    answer: &RecallResponse,
) -> Result<ReplayRecallResponse, Status> {
    let request = ReplayRecallRequest {
        recall: Some(recall),
        recall_token: answer.recall_token.clone(),
        generation: String::new(),
    };
    let answer = RecallServiceClient::new(SMALL.gateway().await)
        .replay_recall(request)
        .await;
    answer.map(tonic::Response::into_inner)
}

fn named(user: &str) -> UserQuery {
    UserQuery {
        user_id: user.to_owned(),
        ..Default::default()
    }
}

#[test]
fn pages_have_every_item_once_in_the_order_of_the_first_page_whatever_the_user_does_meanwhile() {
    RUNTIME.block_on(async {
        let user = "reads-pages";
        let known: Vec<u64> = SMALL.dataset().items.iter().map(|item| item.id).collect();
        record(user, &known[..12], 1_000).await;
        let truth = Truth::of(named(user)).await.ranking();

        let mut listed = Vec::new();
        let mut request = listing(user, 40);
        for page in 0.. {
            let answer = recall(request.clone()).await.unwrap();
            listed.extend(answer.candidates.iter().map(|candidate| candidate.id));
            // Of what comes on the pages after, and of what was on those before.
            let watched = [truth[(45 + page * 40).min(truth.len() - 1)], truth[page]];
            record(user, &watched, 2_000 + 10 * page as i64).await;
            if answer.next_page_token.is_empty() {
                break;
            }
            request.page_token = answer.next_page_token;
            // Another size of page is fine.
            request.page_size = 50;
        }
        assert_eq!(listed, truth);
    });
}

#[test]
fn a_token_goes_on_with_its_own_listing_only() {
    RUNTIME.block_on(async {
        let user = SMALL.dataset().users[8].id.clone();
        let first = recall(listing(&user, 5)).await.unwrap();
        assert!(!first.next_page_token.is_empty() && !first.recall_token.is_empty());
        let untouched = RecallRequest {
            options: None,
            ..listing(&user, 5)
        };
        let plain = recall(untouched).await.unwrap();
        assert!(plain.next_page_token.is_empty() && plain.recall_token.is_empty());

        let mut forged = first.next_page_token.clone().into_bytes();
        forged[50] = if forged[50] == b'A' { b'B' } else { b'A' };
        for (user, token) in [
            (user.as_str(), String::from_utf8(forged).unwrap()),
            (user.as_str(), first.recall_token.clone()),
            ("somebody-else", first.next_page_token.clone()),
        ] {
            let request = RecallRequest {
                page_token: token,
                ..listing(user, 5)
            };
            let refused = recall(request).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
            assert!(refused.message().starts_with("page_token: "), "{refused:?}");
        }
    });
}

#[test]
fn an_answer_is_made_again_to_the_bit_after_the_user_went_on() {
    RUNTIME.block_on(async {
        let user = "is-replayed";
        let known: Vec<u64> = SMALL.dataset().items.iter().map(|item| item.id).collect();
        record(user, &known[20..30], 1_000).await;
        let first = recall(listing(user, 20)).await.unwrap();
        let second = RecallRequest {
            page_token: first.next_page_token.clone(),
            ..listing(user, 20)
        };
        let after = recall(second.clone()).await.unwrap();
        // One that was recalled, one that was seen before: it is seen still.
        record(user, &[first.candidates[0].id, known[20]], 3_000).await;

        let now = recall(listing(user, 20)).await.unwrap();
        assert_ne!(now.candidates, first.candidates);
        for (request, answer) in [(listing(user, 20), first), (second, after)] {
            let again = replay(request, &answer).await.unwrap();
            assert!(again.identical);
            assert_eq!(again.overlap, 1.0);
            assert!(again.entered.is_empty() && again.left.is_empty());
            assert_eq!(again.answer.unwrap().candidates, answer.candidates);
        }
    });
}

#[test]
fn pages_end_where_what_was_known_of_the_user_is_written_over() {
    RUNTIME.block_on(async {
        let user = "changes-profile";
        let profile = |age: &str| PutUserProfileRequest {
            user_id: user.to_owned(),
            profile: Some(Features {
                values: [(
                    "age".to_owned(),
                    FeatureValue {
                        kind: Some(Kind::Text(age.to_owned())),
                    },
                )]
                .into(),
            }),
            ..Default::default()
        };
        let mut events = EventServiceClient::new(SMALL.gateway().await);
        events.put_user_profile(profile("25")).await.unwrap();
        record(user, &[SMALL.dataset().items[3].id], 1_000).await;
        let first = recall(listing(user, 5)).await.unwrap();
        events.put_user_profile(profile("35")).await.unwrap();
        let next = RecallRequest {
            page_token: first.next_page_token,
            ..listing(user, 5)
        };
        let refused = recall(next).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
        assert_eq!(
            status::reason(&refused).as_deref(),
            Some(status::HISTORY_GONE)
        );
    });
}

#[test]
fn a_recall_that_was_another_one_is_not_replayed() {
    RUNTIME.block_on(async {
        let user = SMALL.dataset().users[9].id.clone();
        let answer = recall(listing(&user, 5)).await.unwrap();
        let refused = replay(listing(&user, 6), &answer).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(refused.message(), "recall_token: is of another request");
    });
}
