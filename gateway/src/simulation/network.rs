//! Connections over the simulated network.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, stream};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::{
    codegen::http::Uri,
    transport::{Channel, Endpoint, server::Connected},
};
use tower::service_fn;
use turmoil::net::{TcpListener, TcpStream};

/// Where every member listens.
pub(super) const PORT: u16 = 9_000;

/// An accepted connection.
pub(super) struct Accepted(TcpStream);

/// Connects when it is first used.
pub(super) fn connect(endpoint: Endpoint) -> Channel {
    endpoint.connect_with_connector_lazy(service_fn(async |uri: Uri| {
        let host = uri.host().unwrap_or_default().to_owned();
        Ok::<_, io::Error>(TokioIo::new(TcpStream::connect((host, PORT)).await?))
    }))
}

/// Accepts connections.
pub(super) async fn accept() -> io::Result<impl Stream<Item = io::Result<Accepted>>> {
    let listener = TcpListener::bind((IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT)).await?;
    Ok(stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await.map(|(socket, _)| Accepted(socket));
        Some((accepted, listener))
    }))
}

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
