//! Counts what a caller who speaks HTTP/2 sends that asks for nothing: pings, settings, priorities. A few are good manners, a flood of
//! them keeps a core busy.

use std::{
    io,
    time::{Duration, Instant},
};

use super::greeting::PREFACE;

/// In how long as many as may be are too many.
const WINDOW: Duration = Duration::from_secs(1);
/// What every frame begins with: three bytes of length, its kind, flags, four bytes of the stream.
const HEADER: usize = 9;
const PRIORITY: u8 = 2;
const SETTINGS: u8 = 4;
const PING: u8 = 6;

/// The frames of one connection, as far as they were read.
pub(super) struct Frames {
    next: Next,
    most: u32,
    idle: u32,
    since: Instant,
}

/// What the next byte belongs to.
enum Next {
    /// The preface, of which so many bytes came.
    Preface(usize),
    /// A frame's header, of which so many bytes came.
    Header([u8; HEADER], usize),
    /// What a frame carries, of which so many bytes are to come.
    Payload(usize),
    /// Another protocol.
    Foreign,
}

impl Frames {
    /// Of a connection that may send so many a second that ask for nothing.
    pub(super) fn new(most: u32) -> Self {
        Self {
            next: Next::Preface(0),
            most,
            idle: 0,
            since: Instant::now(),
        }
    }

    /// Reads on; an error if too many frames ask for nothing.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            bytes = match &mut self.next {
                Next::Foreign => return Ok(()),
                Next::Preface(came) => {
                    let wanted = &PREFACE[*came..];
                    let common = wanted.len().min(bytes.len());
                    *came += common;
                    if wanted[..common] != bytes[..common] {
                        self.next = Next::Foreign;
                    } else if *came == PREFACE.len() {
                        self.next = Next::Header([0; HEADER], 0);
                    }
                    &bytes[common..]
                }
                Next::Header(header, came) => {
                    let taken = (HEADER - *came).min(bytes.len());
                    header[*came..*came + taken].copy_from_slice(&bytes[..taken]);
                    *came += taken;
                    if *came == HEADER {
                        let [a, b, c, kind, ..] = *header;
                        self.next = Next::Payload(u32::from_be_bytes([0, a, b, c]) as usize);
                        self.count(kind)?;
                    }
                    &bytes[taken..]
                }
                Next::Payload(rest) => {
                    let taken = (*rest).min(bytes.len());
                    *rest -= taken;
                    if *rest == 0 {
                        self.next = Next::Header([0; HEADER], 0);
                    }
                    &bytes[taken..]
                }
            };
        }
        Ok(())
    }

    fn count(&mut self, kind: u8) -> io::Result<()> {
        if !matches!(kind, PRIORITY | SETTINGS | PING) {
            return Ok(());
        }
        self.idle += 1;
        if self.idle > self.most {
            if self.since.elapsed() < WINDOW {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            (self.idle, self.since) = (1, Instant::now());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const MOST: u32 = 1_000;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let length = (payload as u32).to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 1], &vec![PING; payload]].concat()
    }

    /// Reads in parts of a size.
    fn read(said: &[u8], size: usize) -> io::Result<Frames> {
        let mut frames = Frames::new(MOST);
        said.chunks(size).try_for_each(|part| frames.read(part))?;
        Ok(frames)
    }

    #[test]
    fn frames_that_ask_for_nothing_are_counted_however_their_bytes_come() {
        let few = [
            frame(PING, 8),
            frame(0, 300),
            frame(SETTINGS, 0),
            frame(PRIORITY, 5),
        ]
        .concat();
        let said = [PREFACE, &few.repeat(3)].concat();
        for size in [1, 2, 7, 24, 25, 1_000] {
            assert_eq!(read(&said, size).unwrap().idle, 9);
        }
    }

    #[test]
    fn a_flood_of_them_is_an_error_and_one_of_data_is_none() {
        let floods = |kind| [PREFACE, &frame(kind, 8).repeat(MOST as usize + 1)].concat();
        for kind in [PING, SETTINGS, PRIORITY] {
            assert!(read(&floods(kind), 4_096).is_err());
            let allowed = &floods(kind)[..PREFACE.len() + MOST as usize * 17];
            assert!(read(allowed, 4_096).is_ok());
        }
        assert!(read(&floods(0), 4_096).is_ok());
    }

    #[test]
    fn another_protocol_has_no_frames() {
        let said = [
            b"POST / HTTP/1.1\r\n\r\n".as_slice(),
            &frame(PING, 8).repeat(2_000),
        ]
        .concat();
        assert_eq!(read(&said, 100).unwrap().idle, 0);
    }
}
