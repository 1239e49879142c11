//! One call: its health, its deadline, its panic.

use std::time::Duration;

use service::status;
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::sample::{NAME, ask, ask_within, start};

#[tokio::test]
async fn services_do_not_serve_until_they_say_so() {
    let running = start(|_| {}).await;
    let mut client = running.health_client().await;
    for service in [NAME, ""] {
        let answer = client.check(ask(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::NotServing);
    }
    running.health.set(NAME, true);
    for service in [NAME, ""] {
        let answer = client.check(ask(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
    }
    let unknown = client.check(ask("nobody")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn a_call_past_the_longest_deadline_is_deadline_exceeded() {
    let running = start(|config| config.max_deadline = Duration::from_millis(50)).await;
    let mut client = running.sample().await;
    let status = client.check(ask_within("hang", "1M")).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert_eq!(status::reason(&status).as_deref(), Some(status::DEADLINE));
    client.check(ask("")).await.unwrap();
}

#[tokio::test]
async fn a_call_without_a_deadline_gets_the_default() {
    let running = start(|config| config.default_deadline = Duration::from_millis(50)).await;
    let status = running.sample().await.check(ask("hang")).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_handler_sees_the_time_it_has() {
    let running = start(|config| config.max_deadline = Duration::from_secs(20)).await;
    let mut client = running.sample().await;
    for (timeout, most) in [("5S", 5_000), ("1H", 20_000)] {
        let status = client
            .check(ask_within("remaining", timeout))
            .await
            .unwrap_err();
        let remaining: u64 = status.message().parse().unwrap();
        assert!(
            (most - 1_000..=most).contains(&remaining),
            "{remaining} of {most} ms"
        );
    }
}

#[tokio::test]
async fn a_stream_that_never_ends_is_ended_at_its_deadline() {
    let running = start(|_| {}).await;
    let mut client = running.sample().await;
    let mut stream = client
        .watch(ask_within("", "500m"))
        .await
        .unwrap()
        .into_inner();
    let status = stream.next().await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

#[tokio::test]
async fn a_panic_is_internal_for_that_call_only() {
    let running = start(|_| {}).await;
    let mut client = running.sample().await;
    let status = client.check(ask("panic")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status::reason(&status).as_deref(), Some(status::INTERNAL));
    assert!(!status.message().contains("fire"), "{status}");
    client.check(ask("")).await.unwrap();
}
