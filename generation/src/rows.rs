//! The rows file: item ids and their vectors, mapped into memory.
//!
//! Little-endian. For `n` rows of `d` numbers of `w` bytes, which are 4, or 2 where they were rounded:
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 8 | the ASCII text `TTROWS01`; `TTROWS02` where numbers were rounded |
//! | 8 | 4 | `d`, u32, at least 1 |
//! | 12 | 4 | 0 |
//! | 16 | 8 | `n`, u64 |
//! | 24 | 40 | 0 |
//! | 64 | 8 n | the item ids, u64, strictly ascending |
//! | 64 + 8 n | up to 56 | 0, up to the next multiple of 64 |
//! | `v`, that multiple | w n d | the vectors, f32 or f16, row by row |
//!
//! The file ends with the last vector. Ids and vectors are aligned in the file, hence in memory.

mod numbers;

use std::{
    borrow::Cow,
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use half::slice::HalfFloatSliceExt as _;
use memmap2::Mmap;

use crate::error::{AtPath as _, Error};
pub use numbers::{Numbers, Storage};

#[cfg(not(target_endian = "little"))]
compile_error!("rows are mapped as they are: little-endian machines only");

const HEADER: u64 = 64;
const ALIGNMENT: u64 = 64;

/// A mapped rows file.
#[derive(Debug)]
pub struct Rows {
    map: Mmap,
    storage: Storage,
    dim: usize,
    count: usize,
}

impl Rows {
    /// Writes a rows file of vectors as they are.
    ///
    /// # Shapes
    /// - `ids`: `n`, strictly ascending
    /// - `vectors`: `[n, dim]`
    ///
    /// # Errors
    /// [`Error::Order`] names the first row whose id is not greater than the one before,
    /// [`Error::Mismatch`] if `vectors` has not `n * dim` numbers.
    pub fn write(path: &Path, dim: usize, ids: &[u64], vectors: &[f32]) -> Result<(), Error> {
        Self::write_stored(path, dim, ids, Numbers::F32(vectors))
    }

    /// Writes a rows file of vectors, stored as they come.
    ///
    /// # Errors
    /// As [`Rows::write`].
    pub fn write_stored(
        path: &Path,
        dim: usize,
        ids: &[u64],
        vectors: Numbers<'_>,
    ) -> Result<(), Error> {
        check_ascending(ids)?;
        let name = || path.display().to_string();
        if ids.len().checked_mul(dim) != Some(vectors.count()) {
            let expected = format!("{} rows of {dim}", ids.len());
            return Err(Error::mismatch(
                name(),
                "number of values",
                vectors.count(),
                expected,
            ));
        }
        let width = match u32::try_from(dim) {
            Ok(width) if width > 0 => width,
            _ => return Err(Error::mismatch(name(), "dimension", dim, "1 to 4294967295")),
        };
        let mut header = [0; HEADER as usize];
        header[..8].copy_from_slice(magic(vectors.storage()));
        header[8..12].copy_from_slice(&width.to_le_bytes());
        header[16..24].copy_from_slice(&(ids.len() as u64).to_le_bytes());
        let ids: &[u8] = bytemuck::cast_slice(ids);
        let padding = vec![0; (ids.len() as u64).next_multiple_of(ALIGNMENT) as usize - ids.len()];

        let mut file = BufWriter::new(File::create(path).at(path)?);
        for part in [&header[..], ids, &padding, vectors.bytes()] {
            file.write_all(part).at(path)?;
        }
        file.flush().at(path)
    }

    /// Maps a rows file whose bytes are known to be the published ones.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if it is no rows file or its length is not what its header says.
    pub fn map(file: &File) -> Result<Self, Error> {
        let map = map(file).at("rows")?;
        let (storage, dim, count) = read_header(&map)?;
        Ok(Self {
            map,
            storage,
            dim,
            count,
        })
    }

    /// The item ids, strictly ascending.
    pub fn ids(&self) -> &[u64] {
        let start = HEADER as usize;
        bytemuck::cast_slice(&self.map[start..start + 8 * self.count])
    }

    /// All vectors, `[len, dim]`, as they are stored.
    pub fn numbers(&self) -> Numbers<'_> {
        let start = vectors_start(self.count as u64) as usize;
        self.storage.numbers(&self.map[start..])
    }

    /// Numbers a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The vector of row `i`; one that was rounded as the f32 that it is.
    ///
    /// # Panics
    /// If there is no row `i`.
    pub fn row(&self, i: usize) -> Cow<'_, [f32]> {
        let numbers = i * self.dim..(i + 1) * self.dim;
        match self.numbers() {
            Numbers::F32(vectors) => Cow::Borrowed(&vectors[numbers]),
            Numbers::F16(vectors) => Cow::Owned(vectors[numbers].to_f32_vec()),
        }
    }
}

/// The size of a rows file; `u64::MAX` if no file could be that large.
pub(crate) fn file_bytes(dim: usize, count: u64, storage: Storage) -> u64 {
    let vectors = count
        .saturating_mul(storage.bytes())
        .saturating_mul(dim as u64);
    match count.checked_mul(8).is_some_and(|ids| ids < u64::MAX / 2) {
        true => vectors_start(count).saturating_add(vectors),
        false => u64::MAX,
    }
}

fn vectors_start(count: u64) -> u64 {
    (HEADER + 8 * count).next_multiple_of(ALIGNMENT)
}

/// What a file begins with.
fn magic(storage: Storage) -> &'static [u8; 8] {
    match storage {
        Storage::F32 => b"TTROWS01",
        Storage::F16 => b"TTROWS02",
    }
}

/// Returns how numbers are stored, dimension and count after checking them against the length.
fn read_header(bytes: &[u8]) -> Result<(Storage, usize, usize), Error> {
    let Some((header, _)) = bytes.split_first_chunk::<{ HEADER as usize }>() else {
        return Err(Error::mismatch(
            "rows",
            "size in bytes",
            bytes.len(),
            "at least 64",
        ));
    };
    let known = [Storage::F32, Storage::F16];
    let Some(storage) = known
        .into_iter()
        .find(|storage| &header[..8] == magic(*storage))
    else {
        let found = String::from_utf8_lossy(&header[..8]);
        let expected = "TTROWS01 or TTROWS02";
        return Err(Error::mismatch("rows", "first bytes", found, expected));
    };
    let dim = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
    let mut count = [0; 8];
    count.copy_from_slice(&header[16..24]);
    let count = u64::from_le_bytes(count);
    if dim == 0 {
        return Err(Error::mismatch("rows", "dimension", dim, "at least 1"));
    }
    let expected = file_bytes(dim, count, storage);
    if bytes.len() as u64 != expected {
        return Err(Error::mismatch(
            "rows",
            "size in bytes",
            bytes.len(),
            expected,
        ));
    }
    Ok((storage, dim, count as usize))
}

fn check_ascending(ids: &[u64]) -> Result<(), Error> {
    match ids.windows(2).position(|pair| pair[0] >= pair[1]) {
        None => Ok(()),
        Some(before) => Err(Error::Order {
            row: before + 1,
            id: ids[before + 1],
            previous: ids[before],
        }),
    }
}

#[expect(unsafe_code, reason = "mapping a file is unsafe")]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: a published file is never written or truncated, only unlinked, which leaves the map
    // whole. Every bit pattern is a valid u64, f32 and f16.
    unsafe { Mmap::map(file) }
}
