//! Embedding users: stored, described, unknown, and by which generation.

use std::time::{SystemTime, UNIX_EPOCH};

use encoder::sample::{BIAS, Reads, Sample};
use proto::v1::{
    EmbedUsersRequest, FeatureValue, Features, GetGenerationRequest, GetUserModelSignatureRequest,
    ListGenerationsRequest, UserContext, UserQuery, feature_value::Kind,
    generation_service_client::GenerationServiceClient,
};
use service::status;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::house::{
    EVENTS, PATIENCE, Site, USERS, check_close, check_refused, event, expected, stored, vector,
    wait_until,
};

pub(crate) fn features(name: &str, text: &str) -> Features {
    let value = FeatureValue {
        kind: Some(Kind::Text(text.to_owned())),
    };
    Features {
        values: [(name.to_owned(), value)].into(),
    }
}

#[tokio::test]
async fn an_unknown_user_is_a_cold_start_and_an_answer() {
    let mut tower = Site::published().await.start(USERS).await;
    for query in [stored("never heard of"), UserQuery::default()] {
        let user = tower.embed(query).await.unwrap();
        check_close(&vector(&user), &expected(&[]));
        assert!(user.cold_start && user.seen.is_empty());
        assert_eq!(user.history_version, 0);
    }
}

#[tokio::test]
async fn events_of_unknown_items_are_seen_but_not_embedded() {
    let mut tower = Site::published().await.start(USERS).await;
    tower.record(vec![event("7", 1, "a", 999)]).await.unwrap();
    let user = tower.embed_stored("7").await;
    check_close(&vector(&user), &expected(&[]));
    assert!(user.cold_start);
    assert_eq!(user.seen, [999]);
}

#[tokio::test]
async fn seen_is_complete_beyond_what_is_kept() {
    let mut site = Site::published().await;
    site.config.history.keep = 3;
    let mut tower = site.start(USERS).await;
    let events = (1..=20).map(|time| event("7", time, "a", 21 - time as u64));
    tower.record(events.collect()).await.unwrap();
    let user = tower.embed_stored("7").await;
    assert_eq!(user.seen, (1..=20).collect::<Vec<u64>>());
    check_close(&vector(&user), &expected(&[3, 2, 1]));
    assert_eq!(tower.get_user("7").await.unwrap().history.len(), 3);
}

#[tokio::test]
async fn a_model_that_reads_ages_sees_the_time_of_each_call() {
    let site = Site::new();
    let sample = Sample {
        reads: Reads::Ages,
        ..Sample::default()
    };
    site.publish(&sample).await;
    let mut tower = site.start(USERS).await;
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        since.as_secs() as i64
    };
    let began = now();
    let events = [("new", 60), ("old", 7_200)].map(|(user, age)| event(user, began - age, "a", 3));
    tower.record(events.into()).await.unwrap();
    for (user, age) in [("new", 60), ("old", 7_200), ("new", 60)] {
        let vector = vector(&tower.embed_stored(user).await);
        let seconds = 3_600.0 * (vector[0] - sample.row(3)[0] - BIAS);
        let (least, most) = (age as f32, (age + now() - began) as f32);
        assert!(
            (least - 0.5..=most + 0.5).contains(&seconds),
            "{user}: {seconds} is not between {least} and {most}"
        );
    }
}

#[tokio::test]
async fn what_the_caller_adds_is_embedded_and_seen_but_not_stored() {
    let mut tower = Site::published().await.start(USERS).await;
    tower.record(vec![event("7", 1, "a", 3)]).await.unwrap();
    let before = tower.embed_stored("7").await;
    let mut unrecorded = event("", 0, "", 5);
    unrecorded.r#type = String::new();
    let query = UserQuery {
        user_id: "7".to_owned(),
        context: Some(UserContext {
            features: Some(features("gender", "F")),
            history: vec![unrecorded],
        }),
        ..UserQuery::default()
    };
    let with = tower.embed(query).await.unwrap();
    check_close(&vector(&with), &expected(&[3, 5]));
    assert_eq!(with.seen, [3, 5]);
    assert_ne!(with.history_version, before.history_version);
    assert_eq!(tower.embed_stored("7").await, before);
}

#[tokio::test]
async fn a_stateless_caller_describes_the_whole_user() {
    let mut tower = Site::published().await.start(USERS).await;
    let query = UserQuery {
        context: Some(UserContext {
            features: None,
            history: vec![event("", 1, "", 2), event("", 2, "", 9)],
        }),
        ..UserQuery::default()
    };
    let user = tower.embed(query).await.unwrap();
    check_close(&vector(&user), &expected(&[2, 9]));
    assert_eq!((user.seen, user.cold_start), (vec![2, 9], false));
}

#[tokio::test]
async fn many_users_come_back_in_the_order_asked() {
    let mut tower = Site::published().await.start(USERS).await;
    let events = (1..=20).map(|item| event(&item.to_string(), 1, "a", item));
    tower.record(events.collect()).await.unwrap();
    let users = (1..=64).map(|n| stored(&(n % 20 + 1).to_string()));
    let request = EmbedUsersRequest {
        users: users.collect(),
        ..EmbedUsersRequest::default()
    };
    let answer = tower.users.embed_users(request).await.unwrap().into_inner();
    assert_eq!(answer.users.len(), 64);
    for (n, user) in (1..=64).zip(&answer.users) {
        check_close(&vector(user), &expected(&[n % 20 + 1]));
    }
}

#[tokio::test]
async fn a_reproducible_call_is_equal_to_the_bit() {
    let mut tower = Site::published().await.start(USERS).await;
    let request = EmbedUsersRequest {
        users: (0..9).map(|n| stored(&n.to_string())).collect(),
        reproducible: true,
        ..EmbedUsersRequest::default()
    };
    let all = tower
        .users
        .embed_users(request.clone())
        .await
        .unwrap()
        .into_inner();
    for (query, together) in request.users.into_iter().zip(all.users) {
        let alone = EmbedUsersRequest {
            users: vec![query],
            reproducible: true,
            ..EmbedUsersRequest::default()
        };
        let alone = tower.users.embed_users(alone).await.unwrap().into_inner();
        assert_eq!(alone.users, [together]);
    }
}

#[tokio::test]
async fn too_many_users_are_refused_by_field() {
    let mut tower = Site::published().await.start(USERS).await;
    let request = EmbedUsersRequest {
        users: vec![stored("7"); 65],
        ..EmbedUsersRequest::default()
    };
    let refused = tower.users.embed_users(request).await.unwrap_err();
    check_refused(&refused, Code::InvalidArgument, status::INVALID_FIELD);
}

#[tokio::test]
async fn events_are_taken_before_there_is_a_generation() {
    let site = Site::new();
    let mut tower = site.start(EVENTS).await;
    wait_until(&tower.uri, USERS, ServingStatus::NotServing).await;
    tower.record(vec![event("7", 1, "a", 3)]).await.unwrap();
    let refused = tower.embed(stored("7")).await.unwrap_err();
    check_refused(&refused, Code::FailedPrecondition, status::NO_GENERATION);

    site.publish(&Sample::default()).await;
    wait_until(&tower.uri, USERS, ServingStatus::Serving).await;
    check_close(&vector(&tower.embed_stored("7").await), &expected(&[3]));
}

#[tokio::test]
async fn a_new_generation_is_held_beside_the_one_that_served() {
    let site = Site::published().await;
    let mut tower = site.start(USERS).await;
    let mut generations = GenerationServiceClient::connect(tower.uri.clone())
        .await
        .unwrap();
    let first = site.store().current().await.unwrap().unwrap().value.serving;
    let other = Sample {
        seed: 2,
        ..Sample::default()
    };
    let second = site.publish(&other).await;

    let held = async {
        loop {
            let list = generations
                .list_generations(ListGenerationsRequest {})
                .await;
            let list = list.unwrap().into_inner();
            assert_eq!(list.members_epoch, 1);
            if list.generations.len() == 2 {
                return list.generations;
            }
            tokio::task::yield_now().await;
        }
    };
    let held = tokio::time::timeout(PATIENCE, held).await.unwrap();
    assert_eq!((&held[0].id, &held[1].id), (&second, &first));
    assert!(held[0].serving && !held[1].serving);

    for (generation, sample) in [(&first, Sample::default()), (&second, other)] {
        let request = EmbedUsersRequest {
            generation: generation.clone(),
            users: vec![UserQuery {
                context: Some(UserContext {
                    features: None,
                    history: vec![event("", 1, "", 2)],
                }),
                ..UserQuery::default()
            }],
            ..EmbedUsersRequest::default()
        };
        let answer = tower.users.embed_users(request).await.unwrap().into_inner();
        let mut expected = sample.row(2);
        expected[0] += encoder::sample::BIAS;
        check_close(&vector(&answer.users[0]), &expected);
        let space = &answer.users[0].interests.as_ref().unwrap().space;
        assert_eq!(
            held.iter()
                .find(|held| held.id == *generation)
                .map(|held| &held.space),
            Some(space)
        );
    }
}

#[tokio::test]
async fn a_generation_that_is_not_held_is_refused() {
    let mut tower = Site::published().await.start(USERS).await;
    let request = EmbedUsersRequest {
        generation: "20010101T000000Z-00000000".to_owned(),
        users: vec![stored("7")],
        ..EmbedUsersRequest::default()
    };
    let refused = tower.users.embed_users(request).await.unwrap_err();
    check_refused(
        &refused,
        Code::FailedPrecondition,
        status::GENERATION_NOT_HELD,
    );
}

#[tokio::test]
async fn a_damaged_artifact_is_refused_and_the_last_good_one_kept() {
    let site = Site::published().await;
    let other = Sample {
        seed: 2,
        ..Sample::default()
    };
    let dir = site.dir.path().join("other");
    let space = other.write(&dir).unwrap();
    let store = site.store();
    store.put_artifact(&dir, &space).await.unwrap();
    let model = store.artifact_dir(&space).unwrap().join("user_tower.onnx");
    let mut bytes = std::fs::read(&model).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    make_writable(&model);
    std::fs::write(&model, bytes).unwrap();
    let damaged = site.publish_as(&space, &other).await.id;

    // CURRENT names the damaged one first, so by the time the other one serves it was refused.
    let mut tower = site.start(USERS).await;
    let user = tower.embed(stored("7")).await.unwrap();
    assert_ne!(user.interests.unwrap().space, space);
    let request = EmbedUsersRequest {
        generation: damaged,
        users: vec![stored("7")],
        ..EmbedUsersRequest::default()
    };
    let refused = tower.users.embed_users(request).await.unwrap_err();
    check_refused(
        &refused,
        Code::FailedPrecondition,
        status::GENERATION_NOT_HELD,
    );
}

/// Published files may be read-only.
fn make_writable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

#[tokio::test]
async fn the_signature_and_the_manifest_can_be_read() {
    let site = Site::published().await;
    let mut tower = site.start(USERS).await;
    let request = GetUserModelSignatureRequest {
        generation: String::new(),
    };
    let signature = tower
        .users
        .get_user_model_signature(request)
        .await
        .unwrap()
        .into_inner();
    let json: serde_json::Value = serde_json::from_str(&signature.signature_json).unwrap();
    assert_eq!(json["dim"], 8);
    let mut generations = GenerationServiceClient::connect(tower.uri.clone())
        .await
        .unwrap();
    let request = GetGenerationRequest {
        generation: signature.generation.clone(),
    };
    let generation = generations
        .get_generation(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(generation.generation.unwrap().space, signature.space);
    let manifest: serde_json::Value = serde_json::from_str(&generation.manifest_json).unwrap();
    assert_eq!(manifest["id"], signature.generation.as_str());
}
