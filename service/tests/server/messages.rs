//! What a call may say: how much of it, and what becomes of bytes that say nothing.

use service::{server::MAX_MESSAGE_BYTES, status};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckResponse;

use crate::{
    http2::{Bare, EMPTY, END_STREAM, HEADERS, call, message},
    sample::{ask, start},
};

#[tokio::test]
async fn a_message_at_the_limit_is_read_and_one_byte_more_is_refused() {
    let running = start(|_| {}).await;
    let mut client = running.sample().await;
    // Before the text come its tag, and its length in three bytes.
    let longest = "a".repeat(MAX_MESSAGE_BYTES - 4);
    client.check(ask(&longest)).await.unwrap();
    let refused = client.check(ask(&(longest + "a"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange);
    for bytes in [MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES + 1] {
        assert!(
            refused.message().contains(&bytes.to_string()),
            "{bytes}: {refused}"
        );
    }
    running.sample().await.check(ask("")).await.unwrap();
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused_and_the_next_call_is_answered() {
    let running = start(|_| {}).await;
    let mut client = Bare::connect(running.address).await;
    let said = |bytes: &[u8]| [&[0, 0, 0, 0, bytes.len() as u8][..], bytes].concat();
    let plain: &[(&str, &str)] = &[];
    let zipped: &[(&str, &str)] = &[("grpc-encoding", "gzip")];
    for (at, (what, fields, bytes)) in [
        ("a text that is no UTF-8", plain, said(b"\x0a\x01\xff")),
        ("groups in groups", plain, said(&[0x13; 200])),
        ("one cut short", plain, said(b"\x0a\x01a")[..7].to_vec()),
        ("one of 4 GiB", plain, vec![0, 0xff, 0xff, 0xff, 0xff]),
        ("a compressed one", zipped, vec![1, 0, 0, 0, 1, 0]),
        ("one that does not say how", plain, vec![1, 0, 0, 0, 1, 0]),
    ]
    .into_iter()
    .enumerate()
    {
        let stream = 4 * at as u32 + 1;
        client.send(&call(stream, fields)).await;
        client.send(&message(stream, &bytes)).await;
        let refused = client.until(|frame| frame.stream == stream).await;
        assert_eq!(refused.kind, HEADERS, "{what}");
        assert_eq!(refused.flags & END_STREAM, END_STREAM, "{what}");
        let next = stream + 2;
        client.send(&call(next, &[])).await;
        client.send(&message(next, &EMPTY)).await;
        client.until(|frame| frame.answers(next)).await;
    }
}

#[tokio::test]
async fn who_sends_what_is_no_message_is_told_so_and_the_server_is_not_blamed() {
    let running = start(|_| {}).await;
    let mut client = tonic::client::Grpc::new(running.channel().await);
    client.ready().await.unwrap();
    let path = "/twotower.v1.SampleService/Check".parse().unwrap();
    // A message with bytes where the text is.
    let codec = tonic_prost::ProstCodec::<Vec<u8>, HealthCheckResponse>::default();
    let refused = client.unary(Request::new(vec![0xff]), path, codec);
    let refused = refused.await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert_eq!(
        status::reason(&refused).as_deref(),
        Some(status::INVALID_FIELD)
    );
    assert!(refused.message().contains("UTF-8"), "{refused}");
}
