//! A connection that must begin to speak in time, and that can be cut.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    task::coop,
};
use tonic::transport::server::Connected;

use crate::{
    coalesce::Coalesced,
    connection::{
        accept::Manners, answers::Answers, frames::Frames, greeting::Greeting, socket::Socket,
    },
    drain::Shutdown,
    metrics,
};

pub(crate) mod accept;
pub(crate) mod answers;
mod frames;
mod greeting;
mod socket;

/// How many bytes are read at a time, and how much of a task's turn that takes, of the 128 parts that tokio gives to each: a flood is answered
/// in small parts, and others come in between.
const PART: usize = 4096;
const TURN: usize = 60;

/// One accepted connection.
pub(crate) struct Connection {
    socket: Coalesced<Socket>,
    peer: Peer,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
    greeting: Option<Greeting>,
    frames: Frames,
    _counted: metrics::Open,
    _place: OwnedSemaphorePermit,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Where it is.
    pub(crate) address: SocketAddr,
    /// The DNS names of its certificate; none without one.
    pub(crate) names: Vec<String>,
    /// Whether it came in where operators do.
    pub(crate) admin: bool,
    /// What is not sent to it yet.
    pub(crate) answers: Answers,
}

impl Connection {
    fn new(
        socket: Socket,
        peer: Peer,
        manners: Manners,
        cutting: Shutdown,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            socket: Coalesced::new(socket),
            peer,
            cut: Box::pin(async move { cutting.requested().await }),
            greeting: Some(Greeting::new(manners.silence)),
            frames: Frames::new(manners.idle_frames),
            _counted: metrics::Open::connection(),
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

    /// Fails if an answer should have been sent long ago. Pings let it be looked at every now and then.
    fn check_answers(&self) -> io::Result<()> {
        match self.peer.answers.are_overdue() {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(()),
        }
    }

    fn check_greeting(&mut self, context: &mut Context<'_>, read: &[u8]) -> io::Result<()> {
        if let Some(greeting) = &mut self.greeting
            && let Poll::Ready(heard) = greeting.poll_hear(context, read)
        {
            self.greeting = None;
            return heard;
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
        self.check_answers()?;
        let room = buffer.remaining().min(PART);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        let read = Pin::new(&mut self.socket).poll_read(context, &mut part)?;
        let bytes = part.filled();
        self.check_greeting(context, bytes)?;
        self.frames.read(bytes)?;
        let count = bytes.len();
        if count > 0 {
            take_turn(context);
        }
        buffer.advance(count);
        read.map(Ok)
    }
}

/// Takes what a read takes of the task's turn.
fn take_turn(context: &mut Context<'_>) {
    for _ in 0..TURN {
        if !coop::has_budget_remaining() {
            break;
        }
        if let Poll::Ready(part) = coop::poll_proceed(context) {
            part.made_progress();
        }
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
        self.check_cut(context)?;
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_cut(context)?;
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}
