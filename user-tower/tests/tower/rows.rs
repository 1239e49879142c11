//! Models that take a history's items as rows of the generation.

use std::collections::BTreeMap;

use encoder::sample::{BIAS, Reads, Sample};
use generation::deltas::{self, Changes, Vectors};
use proto::v1::EmbedUsersRequest;
use tonic::Code;

use crate::house::{PATIENCE, Site, Tower, USERS, check_close, event, stored, vector};

/// An item that no vocabulary names.
const NEWER: u64 = 777;

fn sample() -> Sample {
    Sample {
        reads: Reads::Vectors,
        ..Sample::default()
    }
}

fn rows(ids: &[u64]) -> BTreeMap<u64, Vec<f32>> {
    let row = |id: u64| match id {
        NEWER => vec![0.25; 8],
        id => sample().row(id),
    };
    ids.iter().map(|id| (*id, row(*id))).collect()
}

/// The sum of the items' rows and the model's bias.
fn sum_of(ids: &[u64]) -> Vec<f32> {
    let mut sum = vec![0.0_f32; 8];
    sum[0] = BIAS;
    for row in ids.iter().flat_map(|id| rows(&[*id]).into_values()) {
        sum.iter_mut()
            .zip(row)
            .for_each(|(sum, number)| *sum += number);
    }
    sum
}

/// Puts the model in the store, and returns its space.
async fn put_artifact(site: &Site) -> String {
    let dir = site.dir.path().join("artifact");
    let space = sample().write(&dir).unwrap();
    site.store().put_artifact(&dir, &space).await.unwrap();
    space
}

/// Embeds user 7 by a generation; returns the vector, and whether the user is cold to it.
async fn embed(tower: &mut Tower, generation: &str) -> (Vec<f32>, bool) {
    let request = EmbedUsersRequest {
        generation: generation.to_owned(),
        users: vec![stored("7")],
        ..EmbedUsersRequest::default()
    };
    let answer = tower.users.embed_users(request).await.unwrap().into_inner();
    (vector(&answer.users[0]), answer.users[0].cold_start)
}

#[tokio::test]
async fn a_history_is_the_rows_of_its_items_over_all_shards() {
    let site = Site::new();
    let space = put_artifact(&site).await;
    let ids: Vec<u64> = (1..=20).collect();
    site.publish_rows(&space, 8, 3, rows(&ids)).await;
    let mut tower = site.start(USERS).await;
    let events = (1..=20).map(|item| event(&item.to_string(), 1, "a", item));
    tower.record(events.collect()).await.unwrap();
    for item in 1..=20 {
        let user = tower.embed_stored(&item.to_string()).await;
        check_close(&vector(&user), &sum_of(&[item]));
    }
}

#[tokio::test]
async fn each_generation_of_a_space_embeds_by_its_own_rows() {
    let site = Site::new();
    let space = put_artifact(&site).await;
    let first = site.publish_rows(&space, 8, 1, rows(&[1, 2, 3])).await.id;
    let second = site
        .publish_rows(&space, 8, 2, rows(&[2, 3, NEWER]))
        .await
        .id;
    let mut tower = site.start(USERS).await;
    let history = [1, NEWER, 2].map(|item| event("7", item as i64, "a", item));
    tower.record(history.into()).await.unwrap();
    tower.wait_for(&[&first, &second]).await;
    // What the generation lacks is unknown; what is newer than the model counts.
    check_close(&embed(&mut tower, &first).await.0, &sum_of(&[1, 2]));
    check_close(&embed(&mut tower, &second).await.0, &sum_of(&[NEWER, 2]));
}

#[tokio::test]
async fn a_user_of_items_that_the_generation_lacks_is_cold() {
    let site = Site::new();
    let space = put_artifact(&site).await;
    let lacking = site.publish_rows(&space, 8, 1, rows(&[2, 3])).await.id;
    let mut tower = site.start(USERS).await;
    tower.record(vec![event("7", 1, "a", 1)]).await.unwrap();
    let (vector, cold) = embed(&mut tower, &lacking).await;
    check_close(&vector, &sum_of(&[]));
    assert!(cold);
}

#[tokio::test]
async fn a_generation_with_damaged_rows_is_refused_and_the_last_good_one_kept() {
    use std::os::unix::fs::PermissionsExt as _;

    let site = Site::new();
    let space = put_artifact(&site).await;
    let good = site.publish_rows(&space, 8, 1, rows(&[1, 2])).await.id;
    let bad = site.publish_rows(&space, 8, 1, rows(&[1, 2, 3])).await;
    let generation = site.store().root().join("generations").join(&bad.id);
    let path = generation.join(&bad.shards[0].rows);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&path, bytes).unwrap();

    // CURRENT names the damaged one first, so by the time the other one serves it was refused.
    let mut tower = site.start(USERS).await;
    let history = [1, 3].map(|item| event("7", item as i64, "a", item));
    tower.record(history.into()).await.unwrap();
    check_close(&vector(&tower.embed_stored("7").await), &sum_of(&[1]));
    check_close(&embed(&mut tower, &good).await.0, &sum_of(&[1]));
    let request = EmbedUsersRequest {
        generation: bad.id,
        users: vec![stored("7")],
        ..EmbedUsersRequest::default()
    };
    let refused = tower.users.embed_users(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
}

/// Puts a delta in the log: an item with a vector of these numbers, or taken out if there is none.
async fn change(site: &Site, space: &str, item: u64, number: Option<f32>) {
    let store = site.store();
    let bytes = number.map(|_| b"{}".to_vec());
    let changes = Changes {
        items: [(item, bytes)].into(),
    };
    let delta = deltas::append(&store, &changes, 0).await.unwrap();
    if let Some(number) = number {
        let vectors = Vectors {
            dim: 8,
            rows: [(item, vec![number; 8])].into(),
        };
        let put = deltas::put_vectors(&store, delta, space, &vectors);
        put.await.unwrap();
    }
}

/// Waits until user 7 is embedded as `expected`.
async fn until_embedded(tower: &mut Tower, expected: &[f32]) {
    let reached = async {
        loop {
            let found = vector(&tower.embed_stored("7").await);
            let pairs = || found.iter().zip(expected);
            if pairs().all(|(found, expected)| (found - expected).abs() < 1e-5) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap();
}

#[tokio::test]
async fn items_that_change_after_the_generation_count_as_they_are_now() {
    let site = Site::new();
    let space = put_artifact(&site).await;
    site.publish_rows(&space, 8, 2, rows(&[1, 2, 3])).await;
    let mut tower = site.start(USERS).await;
    let history = [1, NEWER, 2].map(|item| event("7", item as i64, "a", item));
    tower.record(history.into()).await.unwrap();
    until_embedded(&mut tower, &sum_of(&[1, 2])).await;

    change(&site, &space, NEWER, Some(0.25)).await;
    until_embedded(&mut tower, &sum_of(&[1, NEWER, 2])).await;
    change(&site, &space, 1, None).await;
    until_embedded(&mut tower, &sum_of(&[NEWER, 2])).await;
    change(&site, &space, 2, Some(0.25)).await;
    until_embedded(&mut tower, &sum_of(&[NEWER, NEWER])).await;

    // One that starts later knows all of it when it begins to serve.
    tower.stop().await;
    let mut tower = site.start(USERS).await;
    let found = vector(&tower.embed_stored("7").await);
    check_close(&found, &sum_of(&[NEWER, NEWER]));
}
