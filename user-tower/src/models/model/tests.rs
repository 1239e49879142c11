//! Which vectors a model keeps, on the true ONNX Runtime with a small artifact.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use encoder::sample::{Reads, Sample};
use tempfile::TempDir;

use super::*;
use crate::{
    history::{Event, History},
    user::Query,
};

/// A model that runs, and the directory of its artifact.
struct Rig {
    model: Model,
    _dir: TempDir,
}

fn rig(sample: &Sample) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    sample.write(dir.path()).unwrap();
    let config = BatcherConfig {
        max_batch: 64,
        max_wait: Duration::ZERO,
        queue: 64,
        in_place: Duration::ZERO,
    };
    let loaded = load(dir.path(), 1).unwrap();
    Rig {
        model: loaded.start(None, &config, Blocking::new("inference", 1), 1 << 20),
        _dir: dir,
    }
}

/// The user 7 after these items, each by a write of its own.
fn stored(items: &[u64]) -> Arc<History> {
    let event = |(time, item): (usize, &u64)| Event {
        time: time as i64 + 1,
        event_id: "a".to_owned(),
        item: *item,
        kind: "rating".to_owned(),
        value: 4.0,
    };
    Arc::new(History {
        events: items.iter().enumerate().map(event).collect(),
        seen: items.to_vec(),
        profile: None,
        arrived: items.len() as u64,
    })
}

fn query() -> Query {
    Query {
        user: "7".to_owned(),
        ..Query::default()
    }
}

const IN_TIME: Duration = Duration::from_secs(60);
/// Whom the queue embeds in no time at all, nobody: what comes back was kept.
const AT_ONCE: Duration = Duration::ZERO;

impl Rig {
    async fn embed(&self, query: Query, items: &[u64], time: Duration) -> Result<Vec<f32>, Error> {
        self.embed_as(query, items, time, How::default()).await
    }

    async fn embed_as(
        &self,
        query: Query,
        items: &[u64],
        time: Duration,
        how: How,
    ) -> Result<Vec<f32>, Error> {
        let mut users = [Whole::new(query, &stored(items), 1_000)];
        let deadline = Deadline::after(time);
        let embedded = self.model.embed(&mut users, how, deadline).await?;
        Ok(embedded.into_iter().next().unwrap().interests)
    }

    fn hits_and_misses(&self) -> (u64, u64) {
        self.model.vectors.hits_and_misses()
    }
}

#[tokio::test]
async fn a_user_for_whom_nothing_was_written_is_embedded_without_an_inference() {
    let rig = rig(&Sample::default());
    let first = rig.embed(query(), &[3, 4], IN_TIME).await.unwrap();
    let again = rig.embed(query(), &[3, 4], AT_ONCE).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(rig.hits_and_misses(), (1, 1));
}

#[tokio::test]
async fn a_write_for_a_user_makes_what_was_kept_old() {
    let rig = rig(&Sample::default());
    let before = rig.embed(query(), &[3, 4], IN_TIME).await.unwrap();
    let late = rig.embed(query(), &[3, 4, 5], AT_ONCE).await;
    assert!(matches!(late, Err(Error::Deadline)));
    let after = rig.embed(query(), &[3, 4, 5], IN_TIME).await.unwrap();
    assert_ne!(before, after);
    let again = rig.embed(query(), &[3, 4, 5], AT_ONCE).await.unwrap();
    assert_eq!(after, again);
}

#[tokio::test]
async fn users_with_and_without_kept_vectors_are_answered_in_their_order() {
    let rig = rig(&Sample::default());
    let kept = rig.embed(query(), &[3, 4], IN_TIME).await.unwrap();
    let nobody = |item: u64| {
        let mut query = Query::default();
        query.events.push(stored(&[item]).events[0].clone());
        Whole::new(query, &Arc::default(), 1_000)
    };
    let user = Whole::new(query(), &stored(&[3, 4]), 1_000);
    let mut users = [nobody(5), user, nobody(6)];
    let deadline = Deadline::after(IN_TIME);
    let embedded = rig.model.embed(&mut users, How::default(), deadline);
    let embedded = embedded.await.unwrap();
    assert_eq!(embedded[1].interests, kept);
    assert_ne!(embedded[0], embedded[2]);
    assert_eq!(rig.hits_and_misses(), (1, 1));
}

#[tokio::test]
async fn two_models_keep_vectors_of_their_own() {
    let other = Sample {
        seed: 2,
        ..Sample::default()
    };
    let (first, second) = (rig(&Sample::default()), rig(&other));
    let by_first = first.embed(query(), &[3], IN_TIME).await.unwrap();
    let by_second = second.embed(query(), &[3], IN_TIME).await.unwrap();
    assert_ne!(by_first, by_second);
    assert_eq!(second.hits_and_misses(), (0, 1));
}

#[tokio::test]
async fn what_the_caller_adds_is_neither_kept_nor_answered_from_what_is() {
    let rig = rig(&Sample::default());
    rig.embed(query(), &[3], IN_TIME).await.unwrap();
    let with_event = Query {
        events: stored(&[5]).events.clone(),
        ..query()
    };
    let with_feature = Query {
        features: [("age".to_owned(), "25".into())].into(),
        ..query()
    };
    for query in [with_event, with_feature, Query::default()] {
        rig.embed(query, &[3], IN_TIME).await.unwrap();
    }
    assert_eq!(rig.hits_and_misses(), (0, 1));
}

#[tokio::test]
async fn who_asks_for_more_than_vectors_of_a_batch_gets_an_inference() {
    let rig = rig(&Sample::default());
    rig.embed(query(), &[3], IN_TIME).await.unwrap();
    for (alone, attention) in [(true, false), (false, true)] {
        let how = How { alone, attention };
        let embedded = rig.embed_as(query(), &[3], IN_TIME, how).await;
        embedded.unwrap();
    }
    assert_eq!(rig.hits_and_misses(), (0, 1));
}

#[tokio::test]
async fn users_never_heard_of_are_not_kept() {
    let rig = rig(&Sample::default());
    for _ in 0..2 {
        rig.embed(query(), &[], IN_TIME).await.unwrap();
    }
    assert_eq!(rig.hits_and_misses(), (0, 0));
}

#[tokio::test]
async fn a_model_that_reads_the_time_keeps_nothing() {
    let rig = rig(&Sample {
        reads: Reads::Ages,
        ..Sample::default()
    });
    for _ in 0..2 {
        rig.embed(query(), &[3], IN_TIME).await.unwrap();
    }
    assert_eq!(rig.hits_and_misses(), (0, 0));
}
