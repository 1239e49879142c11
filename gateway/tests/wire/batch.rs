//! Recalls in batches and in streams.

use std::time::Duration;

use proto::v1::{
    BatchRecallRequest, RecallResult, StreamRecallRequest, recall_result::Result as Outcome,
    recall_service_client::RecallServiceClient,
};
use service::status;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Code, Request};

use crate::house::{House, ids, user};

fn answered(result: &RecallResult) -> Vec<u64> {
    match &result.result {
        Some(Outcome::Answer(answer)) => ids(answer),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_recall_of_a_batch_has_an_answer_or_a_failure_of_its_own() {
    let (house, _) = House::usual().await;
    house.user_towers[0].see("b", &[1]);
    let request = BatchRecallRequest {
        recalls: vec![user("a", 3), user("b", 2), user("", 1), user("c", 2_000)],
    };
    let mut client = RecallServiceClient::new(house.channel());
    let answer = client.batch_recall(request).await.unwrap().into_inner();
    assert_eq!(answered(&answer.results[0]), [1, 2, 3]);
    assert_eq!(answered(&answer.results[1]), [2, 3]);
    for (place, field) in [(2, "user_id"), (3, "page_size")] {
        let Some(Outcome::Failure(failure)) = &answer.results[place].result else {
            panic!("{answer:?}");
        };
        assert_eq!(failure.code, i32::from(Code::InvalidArgument));
        assert_eq!(failure.reason, status::INVALID_FIELD);
        assert!(failure.message.starts_with(field), "{failure:?}");
    }
}

#[tokio::test]
async fn a_batch_has_one_recall_at_least_and_64_at_most() {
    let (house, _) = House::usual().await;
    let mut client = RecallServiceClient::new(house.channel());
    for (count, refused) in [(0, true), (64, false), (65, true)] {
        let request = BatchRecallRequest {
            recalls: vec![user("a", 1); count],
        };
        match client.batch_recall(request).await {
            Ok(answer) => assert_eq!(answer.into_inner().results.len(), count),
            Err(status) => {
                assert!(refused, "{status}");
                let expected = format!("recalls: has {count}, must have 1 to 64");
                assert_eq!(status.message(), expected);
            }
        }
    }
}

#[tokio::test]
async fn a_stream_answers_each_recall_under_its_own_name() {
    const RECALLS: usize = 400;
    let (house, _) = House::usual().await;
    let (send, receive) = tokio::sync::mpsc::channel(8);
    let mut request = Request::new(ReceiverStream::new(receive));
    request.set_timeout(Duration::from_secs(30));
    let mut client = RecallServiceClient::new(house.channel());
    let mut answers = client.stream_recall(request).await.unwrap().into_inner();
    let asking = tokio::spawn(async move {
        for number in 0..RECALLS {
            let asked = StreamRecallRequest {
                correlation_id: number.to_string(),
                recall: Some(user("u", 1 + number as u32 % 5)),
            };
            send.send(asked).await.unwrap();
        }
    });
    let mut open: Vec<bool> = vec![true; RECALLS];
    while let Some(answer) = answers.next().await {
        let answer = answer.unwrap();
        let number: usize = answer.correlation_id.parse().unwrap();
        assert!(std::mem::take(&mut open[number]), "answered twice");
        assert_eq!(answered(&answer.result.unwrap()).len(), 1 + number % 5);
    }
    asking.await.unwrap();
    assert!(open.iter().all(|open| !open), "some were not answered");
}

#[tokio::test]
async fn a_caller_who_reads_no_answers_keeps_nobody_else_from_theirs() {
    let (mut house, manifest) = House::usual().await;
    house.config.recall.batch_concurrency = 1;
    house.open().await;
    house.pinned(&manifest.id).await;
    let mut client = RecallServiceClient::new(house.channel());
    let asked = |number: usize| StreamRecallRequest {
        correlation_id: number.to_string(),
        recall: Some(user("u", 200)),
    };
    // More than any window holds, and none of it is read.
    let endless = tokio_stream::iter((0..100_000).map(asked));
    let unread = client.stream_recall(endless).await.unwrap();
    for _ in 0..50 {
        let request = BatchRecallRequest {
            recalls: vec![user("a", 3); 8],
        };
        let answer = client.clone().batch_recall(request).await.unwrap();
        for result in &answer.get_ref().results {
            assert_eq!(answered(result), [1, 2, 3]);
        }
    }
    drop(unread);
}
