//! Stands between a gateway and a tower, and passes bytes on, swallows them or refuses connections.

use std::{io, net::Ipv4Addr, time::Duration};

use tokio::{
    io::{copy, copy_bidirectional, sink},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
};

use crate::server::free_port;

/// How long before a port that is still taken is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// What is done with connections, those that are open among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They are passed on.
    Pass,
    /// They are cut, and nobody listens.
    Refuse,
    /// They are accepted and what comes is swallowed; nothing comes back.
    Swallow,
}

/// A proxy; it ends when dropped.
pub(crate) struct Proxy {
    pub(crate) uri: String,
    mode: watch::Sender<Mode>,
    listening: AbortHandle,
}

impl Proxy {
    /// Stands before a port of this machine.
    pub(crate) fn start(target: u16) -> io::Result<Self> {
        let port = free_port()?;
        let (mode, changes) = watch::channel(Mode::Pass);
        Ok(Self {
            uri: format!("http://127.0.0.1:{port}"),
            mode,
            listening: tokio::spawn(listen(port, target, changes)).abort_handle(),
        })
    }

    /// Does another thing from now on.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(port: u16, target: u16, mut mode: watch::Receiver<Mode>) {
    loop {
        until(&mut mode, |mode| mode != Mode::Refuse).await;
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        loop {
            tokio::select! {
                () = until(&mut mode, |mode| mode == Mode::Refuse) => break,
                Ok((client, _)) = listener.accept() => {
                    tokio::spawn(serve(client, target, mode.clone()));
                }
            }
        }
    }
}

/// Serves one connection until a side ends it or it is cut.
async fn serve(client: TcpStream, target: u16, mut mode: watch::Receiver<Mode>) {
    let served = pass(client, target, mode.clone());
    tokio::select! {
        () = until(&mut mode, |mode| mode == Mode::Refuse) => {}
        // How a connection ends is no matter of the proxy's.
        _ = served => {}
    }
}

async fn pass(
    mut client: TcpStream,
    target: u16,
    mut mode: watch::Receiver<Mode>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?;
    server.set_nodelay(true)?;
    tokio::select! {
        done = copy_bidirectional(&mut client, &mut server) => return done.map(drop),
        () = until(&mut mode, |mode| mode != Mode::Pass) => {}
    }
    // What is lost is lost: the connection ends when bytes are passed on again.
    let mut nowhere = sink();
    tokio::select! {
        done = copy(&mut client, &mut nowhere) => done.map(drop),
        () = until(&mut mode, |mode| mode == Mode::Pass) => Ok(()),
    }
}

/// Waits for a mode; for ever, if none can come any more.
async fn until(mode: &mut watch::Receiver<Mode>, wanted: impl Fn(Mode) -> bool) {
    if mode.wait_for(|mode| wanted(*mode)).await.is_err() {
        std::future::pending::<()>().await;
    }
}
