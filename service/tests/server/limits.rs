//! Limits of connections, as seen from a bare socket.

use std::time::Duration;

use service::status;
use tokio::io::AsyncReadExt as _;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::{
    http2::{Bare, SETTINGS},
    sample::{ask, start},
};

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let running = start(|config| config.keepalive_interval = Duration::from_millis(100)).await;
    let mut silent = tokio::net::TcpStream::connect(running.address)
        .await
        .unwrap();
    let closed = async {
        let mut bytes = [0; 1024];
        while silent.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    };
    tokio::time::timeout(Duration::from_secs(5), closed)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_the_others_live() {
    let running = start(|config| config.max_connections = 1).await;
    let mut client = running.sample().await;
    client.check(ask("")).await.unwrap();
    let mut surplus = tokio::net::TcpStream::connect(running.address)
        .await
        .unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(5), surplus.read_u8()).await;
    assert!(closed.unwrap().is_err());
    client.check(ask("")).await.unwrap();
}

#[tokio::test]
async fn the_limits_stand_in_the_settings_frame() {
    let running = start(|_| {}).await;
    let mut client = Bare::connect(running.address).await;
    let first = client.next().await.unwrap();
    assert_eq!(first.kind, SETTINGS, "the first frame is SETTINGS");
    let pairs = first.payload.chunks_exact(6);
    let settings: Vec<(u16, u32)> = pairs
        .map(|pair| {
            let id = u16::from_be_bytes([pair[0], pair[1]]);
            (id, u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]]))
        })
        .collect();
    let (max_concurrent_streams, max_header_list_size) = (3, 6);
    for limit in [
        (max_concurrent_streams, 200),
        (max_header_list_size, 16 * 1024),
    ] {
        assert!(settings.contains(&limit), "{settings:?}");
    }
}

#[tokio::test]
async fn a_caller_who_calls_too_often_is_told_when_to_call_again() {
    let running = start(|config| config.calls_per_second = 1).await;
    let mut client = running.sample().await;
    client.check(ask("")).await.unwrap();
    let mut refused = None;
    while refused.is_none() {
        refused = client.check(ask("")).await.err();
    }
    let refused = refused.unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(
        status::reason(&refused).as_deref(),
        Some(status::RATE_EXCEEDED)
    );
    let again = refused.get_details_retry_info().unwrap().retry_delay;
    assert!(again.is_some_and(|again| again <= Duration::from_secs(1)));
}

#[tokio::test]
async fn a_call_too_many_is_refused_and_one_fits_when_another_ends() {
    let running = start(|config| config.max_in_flight = 1).await;
    let (mut first, mut second) = (running.sample().await, running.sample().await);
    let mut hanging = Box::pin(first.check(ask("hang")));
    let refused = loop {
        tokio::select! {
            _ = &mut hanging => panic!("it hangs"),
            answer = second.check(ask("")) => {
                if let Err(refused) = answer {
                    break refused;
                }
            }
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(
        status::reason(&refused).as_deref(),
        Some(status::TOO_MANY_CALLS)
    );
    // Whether the server is healthy is told all the same.
    let mut health = running.health_client().await;
    health.check(ask("")).await.unwrap();
    drop(hanging);
    while second.check(ask("")).await.is_err() {}
}
