//! Recording events: read your writes, once each, at the owner only.

use generation::{placement, store::Members};
use proto::v1::{
    DeleteUserResponse, GetUserRequest, PutUserProfileRequest, RecordEventsRequest, UserQuery,
};
use service::status;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::house::{
    EVENTS, Site, USERS, check_close, check_refused, event, expected, stored, vector,
};

#[tokio::test]
async fn an_acknowledged_event_is_in_the_next_embedding() {
    let mut tower = Site::published().await.start(USERS).await;
    let mut items = Vec::new();
    for time in 1..=12 {
        items.push(1 + time as u64 % 5);
        let recorded = tower
            .record(vec![event("7", time, "a", 1 + time as u64 % 5)])
            .await;
        assert_eq!(recorded.unwrap().recorded, 1);
        check_close(&vector(&tower.embed_stored("7").await), &expected(&items));
    }
    let user = tower.get_user("7").await.unwrap();
    assert_eq!((user.history.len(), user.seen_items), (12, 5));
    assert_eq!(user.history[0], event("7", 1, "a", 2));
    tower.stop().await;
}

#[tokio::test]
async fn a_retried_event_is_one_event() {
    let mut tower = Site::new().start(EVENTS).await;
    let events = vec![event("7", 1, "a", 3), event("7", 1, "b", 4)];
    let first = tower.record(events.clone()).await.unwrap();
    assert_eq!((first.recorded, first.duplicates), (2, 0));
    let retried = tower.record(events.clone()).await.unwrap();
    assert_eq!((retried.recorded, retried.duplicates), (0, 2));
    assert_eq!(tower.get_user("7").await.unwrap().history, events);
}

#[tokio::test]
async fn a_bad_event_is_refused_by_field_and_none_of_the_call_is_recorded() {
    let mut tower = Site::new().start(EVENTS).await;
    let nameless = event("7", 1, "", 4);
    let refused = tower
        .record(vec![event("7", 1, "a", 3), nameless])
        .await
        .unwrap_err();
    check_refused(&refused, Code::InvalidArgument, status::INVALID_FIELD);
    let named = refused.get_details_bad_request().unwrap();
    assert_eq!(named.field_violations[0].field, "events[1].event_id");
    assert!(tower.get_user("7").await.unwrap().history.is_empty());
}

#[tokio::test]
async fn a_profile_is_read_back_and_warms_a_user_without_events() {
    let mut tower = Site::published().await.start(USERS).await;
    assert!(tower.get_user("7").await.unwrap().profile.is_none());
    assert!(tower.embed_stored("7").await.cold_start);
    let request = PutUserProfileRequest {
        user_id: "7".to_owned(),
        profile: Some(crate::embedding::features("gender", "F")),
        members_epoch: 0,
    };
    tower
        .events
        .put_user_profile(request.clone())
        .await
        .unwrap();
    assert_eq!(tower.get_user("7").await.unwrap().profile, request.profile);
    assert!(!tower.embed_stored("7").await.cold_start);
}

#[tokio::test]
async fn a_profile_is_compared_with_what_the_serving_model_reads() {
    let mut tower = Site::published().await.start(USERS).await;
    let request = PutUserProfileRequest {
        user_id: "7".to_owned(),
        profile: Some(crate::embedding::features("shoe size", "44")),
        members_epoch: 0,
    };
    let put = tower.events.put_user_profile(request).await.unwrap();
    let put = put.into_inner();
    assert_eq!(put.unread_features, ["shoe size"]);
    let query = UserQuery {
        consistency_token: put.consistency_token,
        ..stored("7")
    };
    assert!(!tower.embed(query).await.unwrap().stale_history);
}

#[tokio::test]
async fn nothing_of_a_deleted_user_is_found_again() {
    let mut tower = Site::published().await.start(USERS).await;
    tower
        .record(vec![event("7", 1, "a", 2), event("8", 1, "a", 3)])
        .await
        .unwrap();
    let before = tower.embed_stored("7").await;
    assert_eq!(
        (before.seen.as_slice(), before.cold_start),
        (&[2][..], false)
    );
    let deleted = tower.delete("7").await;
    assert_eq!(
        (deleted.events, deleted.seen_items, deleted.profile),
        (1, 1, false)
    );
    let after = tower.embed_stored("7").await;
    assert!(after.seen.is_empty() && after.cold_start);
    assert!(tower.get_user("7").await.unwrap().history.is_empty());
    assert_eq!(tower.get_user("8").await.unwrap().history.len(), 1);
    assert_eq!(tower.delete("7").await, DeleteUserResponse::default());
}

#[tokio::test]
async fn an_embedding_says_whether_it_includes_what_a_token_stands_for() {
    let mut tower = Site::published().await.start(USERS).await;
    let recorded = tower.record(vec![event("7", 1, "a", 2)]).await.unwrap();
    let token = recorded.consistency_token;
    let with = |user: &str, token: &str| UserQuery {
        consistency_token: token.to_owned(),
        ..stored(user)
    };
    assert!(!tower.embed(with("7", &token)).await.unwrap().stale_history);
    // Recording it again stands for the same, and so does a token that says nothing of the user.
    let again = tower.record(vec![event("7", 1, "a", 2)]).await.unwrap();
    let again = tower.embed(with("7", &again.consistency_token)).await;
    assert!(!again.unwrap().stale_history);
    assert!(!tower.embed(with("8", &token)).await.unwrap().stale_history);

    let (user, arrived) = token.split_once('-').unwrap();
    let arrived = u64::from_str_radix(arrived, 16).unwrap() + 3_600_000_000;
    let later = format!("{user}-{arrived:x}");
    assert!(tower.embed(with("7", &later)).await.unwrap().stale_history);
    let refused = tower.embed(with("7", "nonsense")).await.unwrap_err();
    check_refused(&refused, Code::InvalidArgument, status::INVALID_FIELD);
    assert!(refused.message().contains("users[0].consistency_token"));
}

#[tokio::test]
async fn a_first_tower_makes_members_of_itself() {
    let site = Site::new();
    site.start(EVENTS).await.stop().await;
    let members = site.store().members().await.unwrap().unwrap().value;
    assert_eq!(
        (members.epoch, members.members),
        (1, vec!["user-tower-0".to_owned()])
    );
}

#[tokio::test]
async fn a_user_of_another_member_is_refused_with_the_owner() {
    let site = Site::published().await;
    let members = Members {
        epoch: 3,
        members: vec!["user-tower-0".to_owned(), "user-tower-1".to_owned()],
    };
    site.store().swap_members(None, &members).await.unwrap();
    let mut tower = site.start(USERS).await;
    let owner = |user: &str| placement::owner(user, &members.members).unwrap().to_owned();
    let find = |name| {
        (0..)
            .map(|n: u32| n.to_string())
            .find(|user| owner(user) == name)
            .unwrap()
    };
    let (ours, theirs) = (find("user-tower-0"), find("user-tower-1"));

    assert!(tower.record(vec![event(&ours, 1, "a", 3)]).await.is_ok());
    for refused in [
        tower
            .record(vec![event(&ours, 2, "a", 3), event(&theirs, 1, "a", 3)])
            .await
            .err(),
        tower.get_user(&theirs).await.err(),
        tower.embed(stored(&theirs)).await.err(),
    ] {
        let refused = refused.unwrap();
        check_refused(&refused, Code::FailedPrecondition, status::FOREIGN_USER);
        assert!(
            refused.message().contains("owned by user-tower-1"),
            "{refused}"
        );
    }
    assert_eq!(tower.get_user(&ours).await.unwrap().history.len(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_by_other_members_is_refused_with_both_epochs() {
    let site = Site::new();
    let mut tower = site.start(EVENTS).await;
    let ask = |members_epoch| GetUserRequest {
        user_id: "7".to_owned(),
        newest: 0,
        members_epoch,
    };
    tower.events.get_user(ask(1)).await.unwrap();
    let refused = tower.events.get_user(ask(2)).await.unwrap_err();
    check_refused(&refused, Code::FailedPrecondition, status::MEMBERS_EPOCH);
    assert!(
        refused.message().contains("epoch 2") && refused.message().contains("epoch 1"),
        "{refused}"
    );
    let request = RecordEventsRequest {
        events: vec![event("7", 1, "a", 3)],
        members_epoch: 2,
    };
    let refused = tower.events.record_events(request).await.unwrap_err();
    check_refused(&refused, Code::FailedPrecondition, status::MEMBERS_EPOCH);

    // MEMBERS changes under the tower: it follows.
    let store = site.store();
    let found = store.members().await.unwrap().unwrap();
    let next = Members {
        epoch: 2,
        members: found.value.members,
    };
    store
        .swap_members(Some(&found.version), &next)
        .await
        .unwrap();
    let followed = async {
        while tower.events.get_user(ask(2)).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::house::PATIENCE, followed)
        .await
        .unwrap();
}
