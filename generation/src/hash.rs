//! Hashes a file as it is read.

use std::{
    fs::File,
    io::{self, Read as _},
};

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// Reads `file` from where it is to its end; returns its size in bytes and its BLAKE3 in hex.
pub(crate) fn file(file: &mut File) -> io::Result<(u64, String)> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok((hasher.count(), hasher.finalize().to_hex().to_string()));
        }
        hasher.update(&chunk[..read]);
    }
}
