//! Accepts connections, as many as there may be, and shakes hands with each beside the others.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use futures::{FutureExt as _, Stream, StreamExt as _, future::Either, stream};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::{
    Connection, Peer,
    answers::Answers,
    socket::{Socket, Tcp},
};
use crate::{
    config::ServerConfig,
    drain::Shutdown,
    identity::{
        Identity,
        tls::{Tls, dns_names},
    },
    metrics,
};

/// How long accepting waits after it failed, e.g. for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Where connections come from.
pub(crate) struct Door {
    /// The socket that listens.
    pub(crate) listener: TcpListener,
    /// Whether it is that of operators.
    pub(crate) admin: bool,
}

/// Accepts connections at all `doors`, at most `config.max_connections` at once at each; all end when `cutting` says so.
pub(crate) fn accept(
    doors: Vec<Door>,
    config: &ServerConfig,
    identity: Arc<Identity>,
    cutting: Shutdown,
) -> impl Stream<Item = io::Result<Connection>> {
    let manners = Manners {
        silence: config.keepalive_interval,
        ping: config.keepalive_timeout,
        idle_frames: config.max_idle_frames,
    };
    let at_once = config.max_connections;
    let doors = doors.into_iter().map(|door| {
        // Of their own, so that nobody at one door keeps others out of the other.
        let places = Arc::new(Semaphore::new(at_once));
        let (identity, cutting) = (Arc::clone(&identity), cutting.clone());
        Box::pin(arrivals(door, places).map(move |arrival| {
            let (tls, cutting) = (identity.tls.clone(), cutting.clone());
            greet(arrival, tls, manners, cutting)
        }))
    });
    stream::select_all(doors)
        .buffer_unordered(at_once)
        .filter_map(std::future::ready)
        .map(Ok)
}

/// What is asked of whoever connects.
#[derive(Clone, Copy)]
pub(super) struct Manners {
    /// How long they may be silent, at first and later.
    pub(super) silence: Duration,
    /// How long they may leave a ping unanswered.
    pub(super) ping: Duration,
    /// How many frames a second they may send that ask for nothing.
    pub(super) idle_frames: u32,
}

/// One connection that was accepted.
struct Arrival {
    socket: TcpStream,
    address: SocketAddr,
    place: OwnedSemaphorePermit,
    admin: bool,
}

/// The connections that come in at `door` and find a place.
fn arrivals(door: Door, places: Arc<Semaphore>) -> impl Stream<Item = Arrival> {
    stream::unfold((door, places), |(door, places)| async move {
        loop {
            let (socket, address) = match door.listener.accept().await {
                Ok(accepted) => accepted,
                Err(cause) => {
                    warn!(%cause, "a connection could not be accepted");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                debug!(%address, "a connection too many was closed");
                metrics::refused_connection("limit");
                continue;
            };
            let arrival = Arrival {
                socket,
                address,
                place,
                admin: door.admin,
            };
            return Some((arrival, (door, places)));
        }
    })
}

/// Makes a connection of an arrival, after its handshake if there is TLS; none if that fails or takes too long.
fn greet(
    arrival: Arrival,
    tls: Option<Arc<Tls>>,
    manners: Manners,
    cutting: Shutdown,
) -> impl Future<Output = Option<Connection>> {
    let Arrival {
        socket,
        address,
        place,
        admin,
    } = arrival;
    // Small answers must not wait for an acknowledgement; a socket that refuses still works.
    let _ = socket.set_nodelay(true);
    let mut peer = Peer {
        address,
        names: Vec::new(),
        admin,
        answers: Answers::new(manners.ping),
    };
    let socket = Tcp::new(socket, manners.silence + manners.ping);
    let Some(tls) = tls else {
        let connection = Connection::new(Socket::Plain(socket), peer, manners, cutting, place);
        return Either::Left(std::future::ready(Some(connection)));
    };
    // A task of its own, on whichever core is free: a handshake computes.
    let greeted = tokio::spawn(async move {
        let handshake = TlsAcceptor::from(tls.server()).accept(socket);
        let socket = match timeout(manners.silence, handshake).await {
            Ok(Ok(socket)) => socket,
            failed => {
                debug!(%address, cause = ?failed.err(), "a handshake failed");
                metrics::refused_connection("handshake");
                return None;
            }
        };
        let certificates = socket.get_ref().1.peer_certificates().unwrap_or_default();
        peer.names = certificates.first().map(dns_names).unwrap_or_default();
        let socket = Socket::Tls(Box::new(socket));
        Some(Connection::new(socket, peer, manners, cutting, place))
    });
    Either::Right(greeted.map(|greeted| greeted.ok().flatten()))
}
