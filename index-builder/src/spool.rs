//! What a part keeps for each shard until that is built: a file of records, in the order in which they came.
//!
//! A record, little-endian: item id u64, row of the input u64, popularity u64, `d` u32, `n` u32, the vector's `d` f32, `n` bytes of
//! JSON as the shard will store them. Where vectors are ready, items and vectors are two spools: `d` is 0 in one, `n` in the other.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use generation::partition;

use crate::{error::Error, work::unwritable};

/// Bytes of a record before its vector.
const HEAD: usize = 32;

/// Which of the two spools of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Items, with their vectors unless those are ready.
    Items,
    /// Ready vectors.
    Vectors,
}

/// The spools of one kind being written, one a shard.
pub(crate) struct Spools {
    files: Vec<(PathBuf, BufWriter<File>)>,
}

/// An item, a vector, or both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Record<'a> {
    /// The item's id.
    pub(crate) id: u64,
    /// The row that it comes from.
    pub(crate) row: u64,
    /// How many events it has.
    pub(crate) popularity: u64,
    /// The numbers of its vector, little-endian.
    pub(crate) vector: &'a [u8],
    /// What the shard stores of it.
    pub(crate) item: &'a [u8],
}

impl Kind {
    /// The name of the spool of a shard.
    pub(crate) fn file(self, shard: u32) -> String {
        match self {
            Self::Items => format!("items-{shard:04}.spool"),
            Self::Vectors => format!("vectors-{shard:04}.spool"),
        }
    }
}

impl Spools {
    /// Creates one for each of `shards` in `dir`.
    ///
    /// # Errors
    /// [`Error::Write`] if one cannot be created.
    pub(crate) fn create(dir: &Path, kind: Kind, shards: u32) -> Result<Self, Error> {
        let create = |shard| {
            let path = dir.join(kind.file(shard));
            let file = File::create(&path).map_err(unwritable(&path))?;
            Ok((path, BufWriter::new(file)))
        };
        Ok(Self {
            files: (0..shards).map(create).collect::<Result<_, Error>>()?,
        })
    }

    /// Adds a record to the spool of its shard.
    ///
    /// # Errors
    /// [`Error::Write`] if it cannot be written.
    pub(crate) fn push(&mut self, record: &Record<'_>, vector: &[f32]) -> Result<(), Error> {
        let shard = partition::shard_of(record.id, self.files.len() as u32);
        let (path, file) = &mut self.files[shard as usize];
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&record.id.to_le_bytes());
        head[8..16].copy_from_slice(&record.row.to_le_bytes());
        head[16..24].copy_from_slice(&record.popularity.to_le_bytes());
        head[24..28].copy_from_slice(&(vector.len() as u32).to_le_bytes());
        head[28..].copy_from_slice(&(record.item.len() as u32).to_le_bytes());
        let mut write = || {
            file.write_all(&head)?;
            for number in vector {
                file.write_all(&number.to_le_bytes())?;
            }
            file.write_all(record.item)
        };
        write().map_err(unwritable(path))
    }

    /// Writes what is still in memory.
    ///
    /// # Errors
    /// [`Error::Write`] if it cannot be written.
    pub(crate) fn finish(self) -> Result<(), Error> {
        for (path, mut file) in self.files {
            file.flush().map_err(unwritable(&path))?;
        }
        Ok(())
    }
}

impl<'a> Record<'a> {
    /// Reads the first record of `bytes`, and how many bytes it takes; `None` if they end before it does.
    pub(crate) fn first(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        let (words, lengths) = head.split_at(24);
        let [id, row, popularity] = [0, 8, 16].map(|at| {
            let mut word = [0; 8];
            word.copy_from_slice(&words[at..at + 8]);
            u64::from_le_bytes(word)
        });
        let [numbers, length] = [0, 4].map(|at| {
            let mut word = [0; 4];
            word.copy_from_slice(&lengths[at..at + 4]);
            u32::from_le_bytes(word) as usize
        });
        let (vector, rest) = rest.split_at_checked(numbers.checked_mul(4)?)?;
        let item = rest.get(..length)?;
        let record = Self {
            id,
            row,
            popularity,
            vector,
            item,
        };
        Some((record, HEAD + vector.len() + item.len()))
    }

    /// The numbers of its vector.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = f32> + use<'a> {
        let numbers = self.vector.as_chunks().0.iter();
        numbers.map(|bytes| f32::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn records_come_back_from_the_spool_of_their_shard() {
        let dir = tempfile::tempdir().unwrap();
        let mut spools = Spools::create(dir.path(), Kind::Items, 3).unwrap();
        let texts = ["", "{}", "{\"id\":3}"];
        for (id, text) in (7..).zip(texts) {
            let record = Record {
                id,
                row: id + 1,
                popularity: 5,
                vector: &[],
                item: text.as_bytes(),
            };
            spools.push(&record, &[id as f32, -0.5]).unwrap();
        }
        spools.finish().unwrap();
        let mut found = Vec::new();
        for shard in 0..3 {
            let bytes = std::fs::read(dir.path().join(Kind::Items.file(shard))).unwrap();
            let mut rest = &bytes[..];
            while let Some((record, length)) = Record::first(rest) {
                assert_eq!(partition::shard_of(record.id, 3), shard);
                let numbers: Vec<f32> = record.numbers().collect();
                assert_eq!(numbers, [record.id as f32, -0.5]);
                found.push((record.id, record.row, record.item.to_vec()));
                assert_eq!(Record::first(&rest[..length - 1]), None);
                rest = &rest[length..];
            }
            assert!(rest.is_empty());
        }
        found.sort();
        let expected = (7..).zip(texts);
        let expected: Vec<_> = expected
            .map(|(id, text)| (id, id + 1, text.as_bytes().to_vec()))
            .collect();
        assert_eq!(found, expected);
    }
}
