//! Vectors that are kept until something is written for the user.

use encoder::sample::Sample;
use proto::v1::EmbedUsersRequest;

use crate::house::{Site, USERS, check_close, event, expected, stored, vector};

#[tokio::test]
async fn an_event_counts_in_the_embedding_after_it() {
    let mut tower = Site::published().await.start(USERS).await;
    tower.record(vec![event("7", 1, "a", 3)]).await.unwrap();
    let first = tower.embed_stored("7").await;
    assert_eq!(tower.embed_stored("7").await, first);
    check_close(&vector(&first), &expected(&[3]));
    tower.record(vec![event("7", 2, "a", 5)]).await.unwrap();
    let after = tower.embed_stored("7").await;
    check_close(&vector(&after), &expected(&[3, 5]));
    assert_eq!(after.seen, [3, 5]);
}

#[tokio::test]
async fn each_generation_answers_by_vectors_of_its_own() {
    let site = Site::published().await;
    let mut tower = site.start(USERS).await;
    let first = site.store().current().await.unwrap().unwrap().value.serving;
    let other = Sample {
        seed: 2,
        ..Sample::default()
    };
    let second = site.publish(&other).await;
    tower.wait_for(&[&first, &second]).await;
    tower.record(vec![event("7", 1, "a", 3)]).await.unwrap();
    for _ in 0..2 {
        for (generation, sample) in [(&first, Sample::default()), (&second, other.clone())] {
            let request = EmbedUsersRequest {
                generation: generation.clone(),
                users: vec![stored("7")],
                ..EmbedUsersRequest::default()
            };
            let answer = tower.users.embed_users(request).await.unwrap().into_inner();
            let mut expected = sample.row(3);
            expected[0] += encoder::sample::BIAS;
            check_close(&vector(&answer.users[0]), &expected);
        }
    }
}
