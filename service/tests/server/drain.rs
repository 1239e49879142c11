//! The end of a server: who hears of it, who may finish, who is cut.

use std::time::Duration;

use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::sample::{NAME, ask, ask_within, start};

#[tokio::test]
async fn a_watch_hears_each_change_and_ends_with_the_drain() {
    let running = start(|_| {}).await;
    let mut client = running.health_client().await;
    let mut watch = client.watch(ask(NAME)).await.unwrap().into_inner();
    let mut next = async || watch.next().await.map(|change| change.unwrap().status());
    assert_eq!(next().await, Some(ServingStatus::NotServing));
    running.health.set(NAME, true);
    assert_eq!(next().await, Some(ServingStatus::Serving));
    running.trigger.request();
    assert_eq!(next().await, Some(ServingStatus::NotServing));
    assert_eq!(next().await, None);
    running.stop_within(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_drain_cuts_a_call_that_never_ends() {
    let running = start(|config| config.drain = Duration::from_millis(200)).await;
    let mut client = running.sample().await;
    let mut stream = client
        .watch(ask_within("", "1H"))
        .await
        .unwrap()
        .into_inner();
    running.stop_within(Duration::from_secs(5)).await;
    let end = stream.next().await.unwrap().unwrap_err();
    assert_ne!(end.code(), Code::Ok);
}

#[tokio::test]
async fn a_drain_lets_a_call_in_flight_finish_and_refuses_new_connections() {
    let running = start(|_| {}).await;
    let mut client = running.sample().await;
    let mut stream = client
        .watch(ask_within("", "1000m"))
        .await
        .unwrap()
        .into_inner();
    let address = running.address;
    running.trigger.request();
    let refused = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refused)
        .await
        .unwrap();
    let end = stream.next().await.unwrap().unwrap_err();
    assert_eq!(
        end.code(),
        Code::DeadlineExceeded,
        "cut before its own end: {end}"
    );
    running.stop_within(Duration::from_secs(5)).await;
}
