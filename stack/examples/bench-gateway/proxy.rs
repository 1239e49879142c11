//! Passes connections on, and counts their bytes both ways.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

/// A way to one server; it closes when this is dropped.
pub(crate) struct Proxy {
    pub(crate) uri: String,
    bytes: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port for connections to the server at `uri`.
    pub(crate) async fn to(uri: &str) -> anyhow::Result<Self> {
        let server: SocketAddr = uri.trim_start_matches("http://").parse()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let uri = format!("http://{}", listener.local_addr()?);
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&bytes);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server).await else {
                    continue;
                };
                let [(from, to), (back, there)] = [client, server].map(TcpStream::into_split);
                tokio::spawn(pass(from, there, Arc::clone(&counted)));
                tokio::spawn(pass(back, to, Arc::clone(&counted)));
            }
        });
        Ok(Self {
            uri,
            bytes,
            accepting,
        })
    }

    /// Bytes that went through so far, both ways.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Until either side ends.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, counted: Arc<AtomicU64>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        counted.fetch_add(length as u64, Relaxed);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
