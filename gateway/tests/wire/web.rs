//! gRPC-Web, as a browser speaks it.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::house::House;

#[tokio::test]
async fn a_browser_can_call_over_http_1() {
    let (house, manifest) = House::usual().await;
    let mut stream = TcpStream::connect(house.address()).await.unwrap();
    // An empty message: no flags, length 0.
    let head = "POST /twotower.v1.GenerationService/ListGenerations HTTP/1.1\r\n\
        host: localhost\r\ncontent-type: application/grpc-web+proto\r\nconnection: close\r\ncontent-length: 5\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&[0; 5]).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/grpc-web+proto"));
    assert!(answer.contains(&manifest.id));
    assert!(answer.contains("grpc-status:0"), "{answer}");
}
