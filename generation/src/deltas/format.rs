//! The bytes of the log's files, which carry their own hash.
//!
//! Little-endian. A delta of `u` items put in and `d` taken out:
//!
//! | bytes | content |
//! |---|---|
//! | 8 | the ASCII text `TTDELTA1` |
//! | 8 | the number, u64 |
//! | 4, 4 | `u` and `d`, u32 |
//! | 8 u, 8 d | ids of the items put in, then of those taken out, each ascending, u64 |
//! | 8 u | where the bytes of each item put in end, u64, from the first's start |
//! | the last of these | the items' bytes, one after the other |
//! | 32 | BLAKE3 of everything before |
//!
//! Vectors of `n` items:
//!
//! | bytes | content |
//! |---|---|
//! | 8 | the ASCII text `TTDVECT1` |
//! | 8 | the number, u64 |
//! | 4, 4, 4 | numbers a vector, `n`, and the bytes of the space's name, u32 |
//! | these | the space's name |
//! | 8 n | ids, ascending, u64 |
//! | 4 n dim | the vectors, f32 |
//! | 32 | BLAKE3 of everything before |

use std::collections::BTreeMap;

use crate::{
    deltas::{Changes, Vectors},
    error::Error,
};

const CHANGES: &[u8; 8] = b"TTDELTA1";
const VECTORS: &[u8; 8] = b"TTDVECT1";
const HASH: usize = 32;

pub(super) fn encode_changes(number: u64, changes: &Changes) -> Vec<u8> {
    let items = changes.items.iter();
    let put = || {
        items
            .clone()
            .filter_map(|(id, item)| Some((id, item.as_ref()?)))
    };
    let out = || items.clone().filter(|(_, item)| item.is_none());
    let mut bytes = [&CHANGES[..], &number.to_le_bytes()].concat();
    bytes.extend((put().count() as u32).to_le_bytes());
    bytes.extend((out().count() as u32).to_le_bytes());
    bytes.extend(put().flat_map(|(id, _)| id.to_le_bytes()));
    bytes.extend(out().flat_map(|(id, _)| id.to_le_bytes()));
    let mut end = 0_u64;
    for (_, item) in put() {
        end += item.len() as u64;
        bytes.extend(end.to_le_bytes());
    }
    put().for_each(|(_, item)| bytes.extend(item));
    seal(bytes)
}

pub(super) fn decode_changes(name: &str, number: u64, bytes: &[u8]) -> Result<Changes, Error> {
    let mut bytes = Reader::open(name, bytes, CHANGES, number)?;
    let (put, out) = (bytes.count()?, bytes.count()?);
    let (put, out) = (bytes.ids(put)?, bytes.ids(out)?);
    let ends = bytes.numbers(put.len())?;
    let mut items = BTreeMap::new();
    let mut start = 0;
    for (id, end) in put.into_iter().zip(ends) {
        let length = end.checked_sub(start).map_or(usize::MAX, |n| n as usize);
        items.insert(id, Some(bytes.take(length)?.to_vec()));
        start = end;
    }
    for id in out {
        if items.insert(id, None).is_some() {
            let expected = "either put in or taken out";
            return Err(Error::mismatch(name, "an item", id, expected));
        }
    }
    bytes.end()?;
    Ok(Changes { items })
}

pub(super) fn encode_vectors(
    name: &str,
    number: u64,
    space: &str,
    vectors: &Vectors,
) -> Result<Vec<u8>, Error> {
    let mut bytes = [&VECTORS[..], &number.to_le_bytes()].concat();
    for count in [vectors.dim, vectors.rows.len(), space.len()] {
        bytes.extend((count as u32).to_le_bytes());
    }
    bytes.extend(space.as_bytes());
    bytes.extend(vectors.rows.keys().flat_map(|id| id.to_le_bytes()));
    for (id, row) in &vectors.rows {
        if row.len() != vectors.dim {
            let expected = format!("{} numbers", vectors.dim);
            let found = format!("{} of item {id}", row.len());
            return Err(Error::mismatch(name, "length of a vector", found, expected));
        }
        bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
    }
    Ok(seal(bytes))
}

pub(super) fn decode_vectors(
    name: &str,
    number: u64,
    space: &str,
    bytes: &[u8],
) -> Result<Vectors, Error> {
    let mut bytes = Reader::open(name, bytes, VECTORS, number)?;
    let (dim, count, length) = (bytes.count()?, bytes.count()?, bytes.count()?);
    let found = String::from_utf8_lossy(bytes.take(length)?).into_owned();
    if found != space {
        return Err(Error::mismatch(name, "space", found, space));
    }
    let ids = bytes.ids(count)?;
    let mut vectors = Vectors {
        dim,
        rows: BTreeMap::new(),
    };
    for id in ids {
        let row = bytes.take(dim.saturating_mul(4))?.as_chunks().0;
        let row = row.iter().map(|value| f32::from_le_bytes(*value));
        vectors.rows.insert(id, row.collect());
    }
    bytes.end()?;
    Ok(vectors)
}

fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let hash = blake3::hash(&bytes);
    bytes.extend(hash.as_bytes());
    bytes
}

/// Reads a file whose hash was checked, from its start.
struct Reader<'a> {
    name: &'a str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn open(name: &'a str, bytes: &'a [u8], magic: &[u8; 8], number: u64) -> Result<Self, Error> {
        let split = bytes.len().checked_sub(HASH).filter(|split| *split >= 16);
        let Some(split) = split else {
            let expected = format!("at least {}", 16 + HASH);
            return Err(Error::mismatch(
                name,
                "size in bytes",
                bytes.len(),
                expected,
            ));
        };
        let (rest, hash) = bytes.split_at(split);
        let found = blake3::hash(rest);
        if found.as_bytes() != hash {
            let expected: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            return Err(Error::mismatch(name, "blake3", found.to_hex(), expected));
        }
        let mut reader = Self { name, rest };
        let found = reader.take(8)?;
        if found != magic {
            let (found, expected) = (
                String::from_utf8_lossy(found),
                String::from_utf8_lossy(magic),
            );
            return Err(Error::mismatch(name, "first bytes", found, expected));
        }
        match reader.numbers(1)?[..] {
            [found] if found == number => Ok(reader),
            ref found => Err(Error::mismatch(
                name,
                "number",
                format!("{found:?}"),
                number,
            )),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            let found = format!("{} left", self.rest.len());
            return Err(Error::mismatch(self.name, "size in bytes", found, length));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn count(&mut self) -> Result<usize, Error> {
        let bytes = self.take(4)?.as_chunks().0;
        Ok(bytes
            .iter()
            .map(|count| u32::from_le_bytes(*count) as usize)
            .sum())
    }

    fn numbers(&mut self, count: usize) -> Result<Vec<u64>, Error> {
        let bytes = self.take(count.saturating_mul(8))?.as_chunks().0;
        Ok(bytes
            .iter()
            .map(|number| u64::from_le_bytes(*number))
            .collect())
    }

    /// Reads ids, which must ascend.
    fn ids(&mut self, count: usize) -> Result<Vec<u64>, Error> {
        let ids = self.numbers(count)?;
        match ids.windows(2).find(|pair| pair[0] >= pair[1]) {
            None => Ok(ids),
            Some(pair) => {
                let expected = format!("more than {}", pair[0]);
                Err(Error::mismatch(
                    self.name,
                    "an item's id",
                    pair[1],
                    expected,
                ))
            }
        }
    }

    fn end(&self) -> Result<(), Error> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Error::mismatch(self.name, "bytes after the end", left, 0)),
        }
    }
}
