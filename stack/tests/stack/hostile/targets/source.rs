//! Numbers and damage out of bytes, so that whoever makes the bytes decides all: a test at random, or a fuzzer by what they reach.

/// Numbers that are often forgotten.
const EXTREMES: [u64; 8] = [
    u64::MAX,
    u64::MAX / 2,
    1 << 63,
    1 << 60,
    u32::MAX as u64,
    1 << 31,
    0xffff,
    0,
];
/// Bytes that mean something in the formats read here.
const TELLING: [u8; 16] = *b"\0\xff\x7f\x80\"{}[]:,\n-.0\x0b";

/// Bytes that are used up from the first on; after the last come zeros without end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number below `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let number = usize::from(self.byte()) << 8 | usize::from(self.byte());
        number % end.max(1)
    }

    pub(crate) fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// One of some.
    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()]
    }

    /// Up to so many bytes as they are.
    pub(crate) fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }
}

/// Changes bytes as disks, networks and enemies do, up to four times.
pub(crate) fn damage(bytes: &mut Vec<u8>, other: &[u8], source: &mut Source<'_>) {
    for _ in 0..=source.byte() % 4 {
        change(bytes, other, source);
    }
}

fn change(bytes: &mut Vec<u8>, other: &[u8], source: &mut Source<'_>) {
    let at = source.below(bytes.len() + 1);
    let run = source.one(&[1, 1, 2, 4, 8, 16]);
    let end = (at + run).min(bytes.len());
    match source.byte() % 9 {
        0 => {
            let bit = 1_u8 << (source.byte() % 8);
            bytes[at..end].iter_mut().for_each(|byte| *byte ^= bit);
        }
        1 => bytes[at..end].fill(source.one(&TELLING)),
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let from = source.below(bytes.len() + 1);
            let piece = bytes[from..(from + run).min(bytes.len())].to_vec();
            insert(bytes, at, &piece);
        }
        5 => {
            bytes.truncate(at);
            bytes.extend(&other[source.below(other.len() + 1)..]);
        }
        6 => insert(bytes, at, source.take(run)),
        7 => {
            let number = source.one(&EXTREMES).to_le_bytes();
            let end = (at + number.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&number[..end - at]);
        }
        _ => insert(bytes, at, source.one(&EXTREMES).to_string().as_bytes()),
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(bytes.splice(at..at, piece.iter().copied()));
}
