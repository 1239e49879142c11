//! How much each event counts, where the model tells.

use encoder::sample::Sample;
use proto::v1::{Attention, EmbedUsersRequest};

use crate::house::{Site, Tower, USERS, event, stored};

async fn ask(tower: &mut Tower, user: &str, with_attention: bool) -> Option<Attention> {
    let request = EmbedUsersRequest {
        users: vec![stored(user)],
        with_attention,
        ..EmbedUsersRequest::default()
    };
    let answer = tower.users.embed_users(request).await.unwrap().into_inner();
    answer.users.into_iter().next().unwrap().attention
}

/// What the sample tells of items that it knows: their lines in its vocabulary.
fn told(items: &[u64]) -> Option<Attention> {
    let lines = items.iter().map(|item| *item as f32 + 1.0);
    Some(Attention {
        items: items.to_vec(),
        f32: lines.flat_map(f32::to_le_bytes).collect(),
    })
}

#[tokio::test]
async fn who_asks_is_told_how_much_each_event_counts() {
    let site = Site::new();
    let sample = Sample {
        tells: true,
        ..Sample::default()
    };
    site.publish(&sample).await;
    let mut tower = site.start(USERS).await;
    // The model knows nothing of item 999, and sees five events.
    let history = [1, 7, 999, 3, 20, 5, 2];
    let events = (1..).zip(history);
    let events = events.map(|(time, item)| event("7", time, "a", item));
    tower.record(events.collect()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(ask(&mut tower, "7", false).await, None);
        let found = ask(&mut tower, "7", true).await;
        assert_eq!(found, told(&[7, 3, 20, 5, 2]));
    }
    assert_eq!(ask(&mut tower, "never heard of", true).await, told(&[]));
}

#[tokio::test]
async fn a_model_that_does_not_tell_is_an_answer_without() {
    let mut tower = Site::published().await.start(USERS).await;
    tower.record(vec![event("7", 1, "a", 3)]).await.unwrap();
    assert_eq!(ask(&mut tower, "7", true).await, None);
}
