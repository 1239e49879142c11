//! A connection that must begin to speak in time, and that can be cut.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tonic::transport::server::{Connected, TcpConnectInfo};
use tracing::{debug, warn};

use crate::{config::ServerConfig, drain::Shutdown};

/// How many bytes a connection must have sent to have begun to speak: HTTP/2's preface.
const GREETING: usize = 24;
/// How long accepting waits after it failed, e.g. for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// One accepted connection.
pub(crate) struct Connection {
    socket: TcpStream,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
    greeting: Option<Greeting>,
    _place: OwnedSemaphorePermit,
}

/// A connection that has not begun to speak yet.
struct Greeting {
    bytes: usize,
    timer: Pin<Box<Sleep>>,
}

/// Accepts connections, at most `config.max_connections` at once; all end when `cutting` says so.
pub(crate) fn accept(
    listener: TcpListener,
    config: &ServerConfig,
    cutting: Shutdown,
) -> impl Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(config.max_connections));
    let patience = config.keepalive_interval;
    futures::stream::unfold(listener, move |listener| {
        let (places, cutting) = (Arc::clone(&places), cutting.clone());
        async move {
            loop {
                let (socket, peer) = match listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(cause) => {
                        warn!(%cause, "a connection could not be accepted");
                        sleep(PAUSE).await;
                        continue;
                    }
                };
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    debug!(%peer, "a connection too many was closed");
                    continue;
                };
                let connection = Connection::new(socket, patience, cutting, place);
                return Some((Ok(connection), listener));
            }
        }
    })
}

impl Connection {
    fn new(
        socket: TcpStream,
        patience: Duration,
        cutting: Shutdown,
        place: OwnedSemaphorePermit,
    ) -> Self {
        // Small answers must not wait for an acknowledgement; a socket that refuses still works.
        let _ = socket.set_nodelay(true);
        Self {
            socket,
            cut: Box::pin(async move { cutting.requested().await }),
            greeting: Some(Greeting {
                bytes: 0,
                timer: Box::pin(sleep(patience)),
            }),
            _place: place,
        }
    }

    fn check_cut(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => {
                // A future that is done must not be polled again.
                self.cut = Box::pin(std::future::ready(()));
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Poll::Pending => Ok(()),
        }
    }

    fn check_greeting(&mut self, context: &mut Context<'_>, read: usize) -> io::Result<()> {
        let Some(greeting) = &mut self.greeting else {
            return Ok(());
        };
        greeting.bytes += read;
        if greeting.bytes >= GREETING {
            self.greeting = None;
        } else if greeting.timer.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_cut(context)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer)?;
        self.check_greeting(context, buffer.filled().len() - before)?;
        read.map(Ok)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_cut(context)?;
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_cut(context)?;
        Pin::new(&mut self.socket).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.socket.connect_info()
    }
}
