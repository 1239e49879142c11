//! Writes that wait until a task's next turn, so that frames that follow one another leave together: a packet, and its way up the other
//! side, costs more than a turn. gRPC's transport in Go does the same.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that wait.
const MOST: usize = 8 << 10;

/// A stream whose writes are sent by a flush after the next read, or by one with nothing written since the last, or once they are many.
///
/// Any other flush says that it is done and wakes the task, which must be one that reads or flushes whenever it runs, as those of HTTP
/// connections are. What waits is sent when the stream is shut down, and lost when it is dropped.
pub(crate) struct Coalesced<S> {
    inner: S,
    waiting: Vec<u8>,
    /// How many of those are sent.
    sent: usize,
    /// Whether some came since the last flush.
    fresh: bool,
    /// Whether something was to be read since they came, or nothing ever was.
    due: bool,
}

impl<S: AsyncWrite + Unpin> Coalesced<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self {
            inner,
            waiting: Vec::new(),
            sent: 0,
            fresh: false,
            // Whoever connects is greeted at once.
            due: true,
        }
    }

    /// Sends what waits.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.waiting.get(self.sent..) {
            match ready!(Pin::new(&mut self.inner).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        // Its memory, too, for most connections have nothing to say most of the time.
        self.waiting = Vec::new();
        (self.sent, self.fresh, self.due) = (0, false, false);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Coalesced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Turns of connections begin with it.
        self.due = !self.waiting.is_empty();
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coalesced<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = parts.iter().map(|part| part.len()).sum();
        if self.waiting.len() + length > MOST {
            ready!(self.poll_send(context))?;
        }
        if length > MOST {
            return Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        }
        self.waiting.reserve(length);
        for part in parts {
            self.waiting.extend_from_slice(part);
        }
        self.fresh = true;
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.fresh && !self.due {
            self.fresh = false;
            context.waker().wake_by_ref();
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::future::poll_fn;

    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// What has come.
    async fn came(other: &mut DuplexStream) -> Vec<u8> {
        let mut came = vec![0; 4 * MOST];
        let read = tokio::select! {
            biased;
            read = other.read(&mut came) => read.unwrap(),
            () = std::future::ready(()) => 0,
        };
        came.truncate(read);
        came
    }

    /// A turn of a task that finds nothing to read.
    async fn begin_turn(stream: &mut Coalesced<DuplexStream>) {
        let mut byte = [0];
        tokio::select! {
            biased;
            read = stream.read(&mut byte) => panic!("{read:?}"),
            () = std::future::ready(()) => {}
        }
    }

    #[tokio::test]
    async fn what_a_turn_writes_leaves_together_at_the_end_of_the_next() {
        let (stream, mut other) = duplex(4 * MOST);
        let mut stream = Coalesced::new(stream);
        begin_turn(&mut stream).await;
        for part in [b"headers ".as_slice(), b"data ", b"trailers"] {
            stream.write_all(part).await.unwrap();
            stream.flush().await.unwrap();
            assert_eq!(came(&mut other).await, b"");
        }
        begin_turn(&mut stream).await;
        stream.write_all(b", more").await.unwrap();
        assert_eq!(came(&mut other).await, b"");
        stream.flush().await.unwrap();
        assert_eq!(came(&mut other).await, b"headers data trailers, more");
    }

    #[tokio::test]
    async fn a_flush_that_leaves_something_wakes_its_task() {
        let (stream, mut other) = duplex(4 * MOST);
        let mut stream = Coalesced::new(stream);
        begin_turn(&mut stream).await;
        stream.write_all(b"answer").await.unwrap();
        let mut turns = 0;
        poll_fn(|context| {
            turns += 1;
            let flushed = Pin::new(&mut stream).poll_flush(context);
            assert!(matches!(flushed, Poll::Ready(Ok(()))));
            match turns {
                2 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
        assert_eq!(came(&mut other).await, b"answer");
    }

    #[tokio::test]
    async fn what_is_said_before_anything_was_heard_leaves_at_once() {
        let (stream, mut other) = duplex(4 * MOST);
        let mut stream = Coalesced::new(stream);
        stream.write_all(b"settings").await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(came(&mut other).await, b"settings");
    }

    #[tokio::test]
    async fn what_waits_is_sent_before_the_end() {
        let (stream, mut other) = duplex(4 * MOST);
        let mut stream = Coalesced::new(stream);
        stream.write_all(b"goodbye").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut said = Vec::new();
        other.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"goodbye");
    }

    proptest! {
        /// However long the parts, whenever they are flushed, and however little the other side takes at a time.
        #[test]
        fn every_byte_comes_once_and_in_order(
            parts in prop::collection::vec((0..3 * MOST, any::<bool>()), 0..12),
            room in 1..2 * MOST,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (said, heard) = runtime.block_on(async {
                let (stream, mut other) = duplex(room);
                let mut stream = Coalesced::new(stream);
                let mut said = Vec::new();
                let speak = async {
                    for (number, (length, flush)) in parts.into_iter().enumerate() {
                        let part: Vec<u8> = (0..length).map(|at| (at + number) as u8).collect();
                        said.extend_from_slice(&part);
                        stream.write_all(&part).await.unwrap();
                        prop_assert!(stream.waiting.len() <= MOST);
                        if flush {
                            stream.flush().await.unwrap();
                        }
                    }
                    stream.shutdown().await.unwrap();
                    Ok(())
                };
                let mut heard = Vec::new();
                let (spoken, read) = tokio::join!(speak, other.read_to_end(&mut heard));
                spoken?;
                read.unwrap();
                Ok::<_, TestCaseError>((said, heard))
            })?;
            prop_assert!(said == heard);
        }
    }
}
