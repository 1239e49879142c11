//! Limits of connections, as seen from a bare socket.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use crate::sample::{ask, start};

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
    let mut socket = tokio::net::TcpStream::connect(running.address)
        .await
        .unwrap();
    let hello = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
        &[0, 0, 0, 4, 0, 0, 0, 0, 0],
    ];
    tokio::io::AsyncWriteExt::write_all(&mut socket, &hello.concat())
        .await
        .unwrap();
    let mut header = [0; 9];
    socket.read_exact(&mut header).await.unwrap();
    assert_eq!(header[3], 4, "the first frame is SETTINGS");
    let mut payload = vec![0; usize::from(u16::from_be_bytes([header[1], header[2]]))];
    socket.read_exact(&mut payload).await.unwrap();
    let settings: Vec<(u16, u32)> = payload
        .chunks_exact(6)
        .map(|pair| {
            let id = u16::from_be_bytes([pair[0], pair[1]]);
            (id, u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]]))
        })
        .collect();
    let (max_concurrent_streams, max_header_list_size) = (3, 6);
    assert!(
        settings.contains(&(max_concurrent_streams, 200)),
        "{settings:?}"
    );
    assert!(
        settings.contains(&(max_header_list_size, 16 * 1024)),
        "{settings:?}"
    );
}
