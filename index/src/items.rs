//! The items file: the bytes of each item, in the order of the rows, mapped into memory.
//!
//! Little-endian. For `n` items:
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 8 | the ASCII text `TTITEM01` |
//! | 8 | 8 | `n`, u64 |
//! | 16 | 48 | 0 |
//! | 64 | 8 (n + 1) | where each item starts, u64, from `b`; then where the last one ends |
//! | `b` = 64 + 8 (n + 1) | the last of these | the items' bytes, one after the other |
//!
//! The bytes mean nothing here; the index builder writes each item's line of the catalog as JSON.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use memmap2::Mmap;

use crate::error::Error;

#[cfg(not(target_endian = "little"))]
compile_error!("offsets are mapped as they are: little-endian machines only");

const MAGIC: &[u8; 8] = b"TTITEM01";
const HEADER: usize = 64;

/// A mapped items file.
#[derive(Debug)]
pub struct Items {
    map: Mmap,
    count: usize,
}

impl Items {
    /// Writes an items file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn write(path: &Path, items: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        write(path, items).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })
    }

    /// Maps an items file whose bytes were hashed.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if it is no items file, its length is not what it says, or an item
    /// ends before it starts.
    pub fn map(file: &File) -> Result<Self, Error> {
        let map = map(file)?;
        let count = read_header(&map)?;
        let items = Self { map, count };
        items.check_offsets()?;
        Ok(items)
    }

    /// How many items.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes of the item of row `i`.
    ///
    /// # Panics
    /// If there is no row `i`.
    pub fn get(&self, i: usize) -> &[u8] {
        let offsets = self.offsets();
        let bytes = &self.map[blob_start(self.count)..];
        &bytes[offsets[i] as usize..offsets[i + 1] as usize]
    }

    fn offsets(&self) -> &[u64] {
        bytemuck::cast_slice(&self.map[HEADER..blob_start(self.count)])
    }

    fn check_offsets(&self) -> Result<(), Error> {
        let offsets = self.offsets();
        if let Some(i) = offsets.windows(2).position(|pair| pair[0] > pair[1]) {
            let expected = format!("at least {}", offsets[i]);
            return Err(Error::mismatch(
                "items",
                "end of an item",
                offsets[i + 1],
                expected,
            ));
        }
        let bytes = (self.map.len() - blob_start(self.count)) as u64;
        match (offsets[0], offsets[self.count]) {
            (0, end) if end == bytes => Ok(()),
            (0, end) => Err(Error::mismatch("items", "bytes of all items", bytes, end)),
            (start, _) => Err(Error::mismatch(
                "items",
                "start of the first item",
                start,
                0,
            )),
        }
    }
}

fn write(path: &Path, items: &[impl AsRef<[u8]>]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..16].copy_from_slice(&(items.len() as u64).to_le_bytes());
    file.write_all(&header)?;
    let mut end = 0_u64;
    file.write_all(&end.to_le_bytes())?;
    for item in items {
        end += item.as_ref().len() as u64;
        file.write_all(&end.to_le_bytes())?;
    }
    for item in items {
        file.write_all(item.as_ref())?;
    }
    file.flush()
}

/// Returns the number of items after checking that their offsets are all there.
fn read_header(bytes: &[u8]) -> Result<usize, Error> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(Error::mismatch(
            "items",
            "size in bytes",
            bytes.len(),
            "at least 64",
        ));
    };
    if &header[..8] != MAGIC {
        let found = String::from_utf8_lossy(&header[..8]);
        return Err(Error::mismatch("items", "first bytes", found, "TTITEM01"));
    }
    let mut count = [0; 8];
    count.copy_from_slice(&header[8..16]);
    let count = u64::from_le_bytes(count);
    if count >= rest.len() as u64 / 8 {
        let expected = format!("below {}, the offsets there is room for", rest.len() / 8);
        return Err(Error::mismatch("items", "number of items", count, expected));
    }
    Ok(count as usize)
}

fn blob_start(count: usize) -> usize {
    HEADER + 8 * (count + 1)
}

#[expect(unsafe_code, reason = "mapping a file is unsafe")]
fn map(file: &File) -> Result<Mmap, Error> {
    // SAFETY: a published file is never written or truncated, only unlinked, which leaves the map
    // whole. Every bit pattern is a valid u64.
    unsafe { Mmap::map(file) }.map_err(|source| Error::Io {
        path: "items".into(),
        source,
    })
}
