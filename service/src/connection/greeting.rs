//! How a caller begins to speak, in time: with HTTP/2's preface, or with the whole head of an HTTP/1.1 request.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

/// What a caller who speaks HTTP/2 says first.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A caller that has not begun to speak yet.
pub(super) struct Greeting {
    heard: Heard,
    timer: Pin<Box<Sleep>>,
}

/// What a caller said so far.
#[derive(Default)]
struct Heard {
    bytes: usize,
    /// The bytes of HTTP/2's preface, as long as nothing else was said.
    preface: usize,
    /// The bytes of the line that it is in, without its end.
    line: usize,
    lines: usize,
}

impl Greeting {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            heard: Heard::default(),
            timer: Box::pin(sleep(patience)),
        }
    }

    /// Hears `bytes`. Ready once the caller has begun to speak, and an error if that takes too long.
    pub(super) fn poll_hear(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<()>> {
        if bytes.iter().any(|byte| self.heard.is_whole_with(*byte)) {
            return Poll::Ready(Ok(()));
        }
        let overdue = |()| Err(io::ErrorKind::TimedOut.into());
        self.timer.as_mut().poll(context).map(overdue)
    }
}

impl Heard {
    fn is_whole_with(&mut self, byte: u8) -> bool {
        if self.preface == self.bytes && PREFACE.get(self.bytes) == Some(&byte) {
            self.preface += 1;
        }
        self.bytes += 1;
        if self.preface == self.bytes {
            return self.bytes == PREFACE.len();
        }
        match byte {
            b'\n' if self.line == 0 => return self.lines > 0,
            b'\n' => (self.line, self.lines) = (0, self.lines + 1),
            b'\r' => {}
            _ => self.line += 1,
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many bytes a greeting is whole.
    fn whole(said: &[u8]) -> Option<usize> {
        let mut heard = Heard::default();
        let at = said.iter().position(|byte| heard.is_whole_with(*byte));
        at.map(|at| at + 1)
    }

    #[test]
    fn a_preface_is_whole_with_its_last_byte() {
        let said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n and what follows";
        assert_eq!(whole(said), Some(PREFACE.len()));
        assert_eq!(whole(&said[..PREFACE.len() - 1]), None);
    }

    #[test]
    fn a_request_is_whole_with_the_end_of_its_head() {
        for head in [
            "POST / HTTP/1.1\r\nhost: a\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\n\r\n",
            "PRI / HTTP/1.1\nhost: a\n\n",
            "PRI * HTTP/1.1\r\nhost: a\r\n\r\n",
        ] {
            assert_eq!(whole(format!("{head}body").as_bytes()), Some(head.len()));
            assert_eq!(whole(&head.as_bytes()[..head.len() - 1]), None);
        }
    }
}
