//! Behaviours of the micro-batcher, with a model whose vectors say what batch they came from.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{Mutex, atomic::AtomicUsize, mpsc},
    time::Duration,
};

use super::*;

const FAR: Duration = Duration::from_secs(60);
const CONFIG: BatcherConfig = BatcherConfig {
    max_batch: 64,
    max_wait: Duration::ZERO,
    queue: 64,
    in_place: Duration::ZERO,
};

/// A model that waits for a token before each inference, then answers `[user, batch size]`.
struct Gated {
    batcher: Arc<Batcher>,
    tokens: mpsc::Sender<()>,
    begun: Arc<AtomicUsize>,
    sizes: Arc<Mutex<Vec<usize>>>,
}

fn gated(max_batch: usize, queue: usize) -> Gated {
    gated_by(BatcherConfig {
        max_batch,
        queue,
        ..CONFIG
    })
}

fn gated_by(config: BatcherConfig) -> Gated {
    let (tokens, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let begun = Arc::new(AtomicUsize::new(0));
    let (seen, begins) = (Arc::clone(&sizes), Arc::clone(&begun));
    let encode: Encode = Arc::new(move |users| {
        begins.fetch_add(1, Ordering::SeqCst);
        gate.lock().unwrap().recv().unwrap();
        seen.lock().unwrap().push(users.len());
        model(users)
    });
    let batcher = Batcher::new(encode, &config, Blocking::new("inference", 1), 1);
    Gated {
        batcher: Arc::new(batcher),
        tokens,
        begun,
        sizes,
    }
}

fn model(users: &[User]) -> Result<Interests, encoder::error::Error> {
    if users.iter().any(|user| user.id == "bad") {
        return Err(encoder::error::Error::Run {
            file: "user_tower.onnx".to_owned(),
            problem: "refused".to_owned(),
        });
    }
    Ok(Interests {
        interests: 1,
        dim: 2,
        values: users
            .iter()
            .flat_map(|user| [user.id.parse().unwrap(), users.len() as f32])
            .collect(),
        weights: Vec::new(),
        cold: vec![false; users.len()],
        attention: users.iter().map(|_| attention()).collect(),
    })
}

fn attention() -> Attention {
    Attention {
        items: vec![3],
        values: vec![1.0],
    }
}

fn user(id: &str) -> User {
    User {
        id: id.to_owned(),
        ..User::default()
    }
}

type Answer = tokio::task::JoinHandle<Result<Vec<Embedded>, Error>>;

impl Gated {
    fn ask(&self, users: &[&str], alone: bool, time: Duration) -> Answer {
        let (batcher, users) = (Arc::clone(&self.batcher), users.iter().map(|id| user(id)));
        let users = users.collect();
        let how = How {
            alone,
            attention: false,
        };
        tokio::spawn(async move { batcher.embed(users, how, Deadline::after(time)).await })
    }

    /// Starts an inference that occupies the only permit.
    async fn occupy(&self) -> Answer {
        let first = self.ask(&["0"], false, FAR);
        eventually(|| self.begun.load(Ordering::SeqCst) == 1).await;
        first
    }

    /// Waits until so many users wait.
    async fn until(&self, waiting: usize) {
        eventually(|| self.batcher.0.jobs().len() == waiting).await;
    }
}

async fn eventually(holds: impl Fn() -> bool) {
    let reached = async {
        while !holds() {
            yield_now().await;
        }
    };
    tokio::time::timeout(FAR, reached).await.unwrap();
}

async fn vectors(answer: Answer) -> Vec<f32> {
    let embedded = answer.await.unwrap().unwrap();
    embedded.into_iter().flat_map(|one| one.interests).collect()
}

#[tokio::test]
async fn what_waits_while_the_model_is_busy_becomes_one_batch() {
    let gated = gated(64, 64);
    let first = gated.occupy().await;
    let (a, b) = (
        gated.ask(&["1", "2"], false, FAR),
        gated.ask(&["3"], false, FAR),
    );
    gated.until(3).await;
    for _ in 0..2 {
        gated.tokens.send(()).unwrap();
    }
    assert_eq!(vectors(first).await, [0.0, 1.0]);
    assert_eq!(vectors(a).await, [1.0, 3.0, 2.0, 3.0]);
    assert_eq!(vectors(b).await, [3.0, 3.0]);
}

#[tokio::test]
async fn a_batch_is_never_larger_than_it_may_be() {
    let gated = gated(2, 64);
    let all = gated.ask(&["1", "2", "3", "4", "5"], false, FAR);
    for _ in 0..5 {
        gated.tokens.send(()).unwrap();
    }
    assert_eq!(vectors(all).await.len(), 10);
    assert!(gated.sizes.lock().unwrap().iter().all(|size| *size <= 2));
}

#[tokio::test]
async fn a_reproducible_user_runs_alone() {
    let gated = gated(64, 64);
    let first = gated.occupy().await;
    let (alone, other) = (gated.ask(&["1"], true, FAR), gated.ask(&["2"], false, FAR));
    gated.until(2).await;
    for _ in 0..3 {
        gated.tokens.send(()).unwrap();
    }
    vectors(first).await;
    assert_eq!(vectors(alone).await, [1.0, 1.0]);
    assert_eq!(vectors(other).await, [2.0, 1.0]);
}

#[tokio::test]
async fn only_who_asks_is_told_how_much_each_event_counts() {
    let gated = gated(64, 64);
    for (asked, told) in [(false, None), (true, Some(attention()))] {
        gated.tokens.send(()).unwrap();
        let how = How {
            alone: false,
            attention: asked,
        };
        let embedded = gated
            .batcher
            .embed(vec![user("1")], how, Deadline::after(FAR));
        assert_eq!(embedded.await.unwrap()[0].attention, told);
    }
}

#[tokio::test]
async fn a_full_queue_sheds_the_whole_call_and_nothing_else() {
    let gated = gated(64, 3);
    let first = gated.occupy().await;
    let waiting = gated.ask(&["1", "2"], false, FAR);
    gated.until(2).await;
    let shed = gated
        .ask(&["3", "4", "5"], false, FAR)
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(shed.to_string(), "the queue of 3 users is full");
    for _ in 0..2 {
        gated.tokens.send(()).unwrap();
    }
    vectors(first).await;
    assert_eq!(vectors(waiting).await, [1.0, 2.0, 2.0, 2.0]);
}

#[tokio::test]
async fn a_user_whose_time_passed_in_the_queue_is_never_run() {
    let gated = gated(64, 64);
    let first = gated.occupy().await;
    let late = gated.ask(&["1"], false, Duration::ZERO);
    gated.until(1).await;
    gated.tokens.send(()).unwrap();
    vectors(first).await;
    assert!(matches!(late.await.unwrap(), Err(Error::Deadline)));
    assert_eq!(*gated.sizes.lock().unwrap(), [1]);
}

#[tokio::test]
async fn a_user_that_the_model_refuses_fails_alone() {
    let gated = gated(64, 64);
    let first = gated.occupy().await;
    let (bad, good) = (
        gated.ask(&["bad"], false, FAR),
        gated.ask(&["7"], false, FAR),
    );
    gated.until(2).await;
    for _ in 0..4 {
        gated.tokens.send(()).unwrap();
    }
    vectors(first).await;
    assert!(matches!(bad.await.unwrap(), Err(Error::Embedding)));
    assert_eq!(vectors(good).await, [7.0, 1.0]);
}

#[tokio::test]
async fn a_call_that_could_not_be_ready_in_time_is_refused_at_the_door() {
    let gated = gated(64, 64);
    gated.batcher.0.estimate.took(1, Duration::from_secs(20));
    let first = gated.occupy().await;
    let waiting = gated.ask(&["1"], false, FAR);
    gated.until(1).await;
    // The one that runs, then one batch: 40 s.
    let late = gated.ask(&["2"], false, Duration::from_secs(39));
    let late = late.await.unwrap().unwrap_err();
    let Error::Overloaded { wait, left } = late else {
        panic!("{late} is another refusal");
    };
    assert_eq!(wait, Duration::from_secs(40));
    assert!(left <= Duration::from_secs(39));
    for _ in 0..2 {
        gated.tokens.send(()).unwrap();
    }
    vectors(first).await;
    // Nothing of the refused call ran.
    assert_eq!(vectors(waiting).await, [1.0, 1.0]);
}

#[tokio::test]
async fn nobody_is_refused_before_an_inference_was_measured() {
    let gated = gated(1, 1_000);
    let first = gated.occupy().await;
    let many = ["1"; 900];
    let waiting = gated.ask(&many, false, FAR);
    for _ in 0..901 {
        gated.tokens.send(()).unwrap();
    }
    vectors(first).await;
    assert_eq!(vectors(waiting).await.len(), 1_800);
    assert!(gated.batcher.0.estimate.takes(Load::of(1, false)) > Some(Duration::ZERO));
}

#[tokio::test]
async fn a_call_with_nobody_ahead_is_tried_whatever_is_predicted() {
    let gated = gated(64, 64);
    gated.batcher.0.estimate.took(1, 10 * FAR);
    gated.tokens.send(()).unwrap();
    assert_eq!(vectors(gated.ask(&["7"], false, FAR)).await, [7.0, 1.0]);
}

#[tokio::test]
async fn a_batch_waits_for_no_more_users_when_one_of_it_would_be_late() {
    let gated = gated_by(BatcherConfig {
        max_wait: 100 * FAR,
        ..CONFIG
    });
    // An inference takes all the time that the call has.
    gated.batcher.0.estimate.took(1, FAR);
    gated.tokens.send(()).unwrap();
    assert_eq!(vectors(gated.ask(&["7"], false, FAR)).await, [7.0, 1.0]);
}

#[tokio::test]
async fn short_inferences_run_where_they_are_asked_for_and_still_in_batches() {
    let threads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&threads);
    let encode: Encode = Arc::new(move |users| {
        let here = std::thread::current().id();
        seen.lock().unwrap().push((here, users.len()));
        model(users)
    });
    let config = BatcherConfig {
        in_place: FAR,
        ..CONFIG
    };
    let batcher = Batcher::new(encode, &config, Blocking::new("inference", 1), 1);
    let ask = |id| batcher.embed(vec![user(id)], How::default(), Deadline::after(FAR));
    // How long the first takes is not known.
    ask("0").await.unwrap();
    let (a, b) = tokio::join!(ask("1"), ask("2"));
    assert_eq!(a.unwrap()[0].interests, [1.0, 2.0]);
    assert_eq!(b.unwrap()[0].interests, [2.0, 2.0]);
    let threads = threads.lock().unwrap();
    let here = std::thread::current().id();
    assert_ne!(threads[0].0, here);
    assert_eq!(threads[1..], [(here, 2)]);
}

#[tokio::test]
async fn a_caller_that_leaves_before_its_batch_began_leaves_nobody_behind() {
    let gated = gated(64, 64);
    for _ in 0..2 {
        gated.tokens.send(()).unwrap();
    }
    let leaves = gated
        .batcher
        .embed(vec![user("1")], How::default(), Deadline::after(FAR));
    let mut leaves = Box::pin(leaves);
    assert!(futures::poll!(&mut leaves).is_pending());
    assert_eq!(gated.batcher.0.jobs().len(), 1);
    drop(leaves);
    gated.until(0).await;
    assert_eq!(vectors(gated.ask(&["7"], false, FAR)).await, [7.0, 1.0]);
    assert_eq!(*gated.sizes.lock().unwrap(), [1]);
}

#[tokio::test]
async fn a_model_that_panics_fails_its_batch_and_nothing_after_it() {
    for in_place in [Duration::ZERO, FAR] {
        let encode: Encode = Arc::new(|users| match users[0].id.as_str() {
            "panic" => panic!("the model is on fire"),
            _ => model(users),
        });
        let config = BatcherConfig { in_place, ..CONFIG };
        let batcher = Batcher::new(encode, &config, Blocking::new("inference", 1), 1);
        let ask = |id| batcher.embed(vec![user(id)], How::default(), Deadline::after(FAR));
        ask("0").await.unwrap();
        assert!(matches!(ask("panic").await, Err(Error::Embedding)));
        assert_eq!(ask("7").await.unwrap()[0].interests, [7.0, 1.0]);
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_come_while_a_batch_waits_share_it_and_are_answered_with_it() {
    let encode: Encode = Arc::new(model);
    let config = BatcherConfig {
        max_batch: 2,
        max_wait: FAR,
        ..CONFIG
    };
    let batcher = Batcher::new(encode, &config, Blocking::new("inference", 1), 1);
    let began = tokio::time::Instant::now();
    let ask = async |id, after| {
        tokio::time::sleep(after).await;
        let asked = batcher.embed(vec![user(id)], How::default(), Deadline::after(10 * FAR));
        asked.await.unwrap()[0].interests.clone()
    };
    let (a, b) = tokio::join!(ask("1", Duration::ZERO), ask("2", FAR / 2));
    assert_eq!((a, b), (vec![1.0, 2.0], vec![2.0, 2.0]));
    assert!(began.elapsed() < FAR);
}

#[test]
fn a_refusal_names_both_times() {
    let refused = Error::Overloaded {
        wait: Duration::from_micros(81_260),
        left: Duration::from_millis(50),
    };
    let said = "an answer would take 81.3ms, the call has 50.0ms left";
    assert_eq!(refused.to_string(), said);
    let status = tonic::Status::from(refused);
    let reason = service::status::reason(&status);
    assert_eq!(reason.as_deref(), Some(service::status::OVERLOADED));
}
