//! Reads vectors that were made elsewhere, and refuses those that cannot stand beside the artifact's.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use encoder::{
    artifact::Artifact,
    signature::{Metric, Signature},
};
use parquet::{
    basic::Type as Physical,
    file::{
        metadata::ParquetMetaData,
        reader::{FileReader as _, SerializedFileReader},
    },
};

use crate::{
    catalog::{guard::guard, refused, unreadable},
    embed::ready::column::{Columns, Leaf, Values, leaf, read},
    error::{Error, VectorsError},
    items::BLOCK,
};

mod column;

/// The footer's key that names the embedding space.
const SPACE: &str = "space";
/// How far the length of a vector may be from 1 where vectors are normalized.
const TOLERANCE: f32 = 1e-3;

/// A file of ready vectors.
pub(crate) struct Ready {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    id: Leaf,
    vector: Leaf,
    dim: usize,
    normalized: bool,
    group: usize,
    columns: Option<Columns>,
    row: u64,
}

/// Rows of the file.
#[derive(Debug)]
pub(crate) struct Block {
    /// The number of the first, from 1.
    pub(crate) first: u64,
    /// The items.
    pub(crate) ids: Vec<u64>,
    /// `[ids, dim]`.
    pub(crate) vectors: Vec<f32>,
}

impl Ready {
    /// Opens the file before its first row.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Table`] if it is no such file, [`VectorsError::Space`] if the vectors are of another space than the
    /// artifact.
    pub(crate) fn open(path: &Path, artifact: &Artifact) -> Result<Self, Error> {
        let file = File::open(path).map_err(unreadable(path))?;
        let reader = guard(|| SerializedFileReader::new(file)).map_err(refused(path))?;
        let metadata = reader.metadata();
        check_space(path, metadata, artifact.space())?;
        let signature: &Signature = artifact.signature();
        Ok(Self {
            path: path.to_owned(),
            id: leaf(metadata, "item_id", Physical::INT64, 0).map_err(refused(path))?,
            vector: leaf(metadata, "vector", Physical::FLOAT, 1).map_err(refused(path))?,
            reader,
            dim: signature.dim,
            normalized: signature.normalized || signature.metric == Metric::Cosine,
            group: 0,
            columns: None,
            row: 0,
        })
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        u64::try_from(self.reader.metadata().file_metadata().num_rows()).unwrap_or_default()
    }

    /// Reads the next block, of at most [`BLOCK`] rows of one group; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Table`] if the rest cannot be read, or a [`VectorsError`] for the first row that holds no vector of the artifact.
    pub(crate) fn next(&mut self) -> Result<Option<Block>, Error> {
        let path = self.path.clone();
        let columns = loop {
            match &mut self.columns {
                Some(columns) if columns.left > 0 => break columns,
                _ if self.group == self.reader.num_row_groups() => return Ok(None),
                _ => {
                    let (reader, group) = (&self.reader, self.group);
                    let (id, vector) = (self.id.at, self.vector.at);
                    let opened = guard(|| Columns::open(reader, group, id, vector));
                    self.columns = Some(opened.map_err(refused(&path))?);
                    self.group += 1;
                }
            }
        };
        let rows = columns.left.min(BLOCK) as usize;
        columns.left -= rows as u64;
        let first = self.row + 1;
        self.row += rows as u64;
        let ids = guard(|| read(&mut columns.id, rows)).map_err(refused(&path))?;
        let values = guard(|| read(&mut columns.vector, rows)).map_err(refused(&path))?;
        if (ids.rows(), values.rows()) != (rows, rows) {
            return Err(refused(&path)(format!(
                "row {first}: {rows} rows are announced, {} and {} are there",
                ids.rows(),
                values.rows()
            )));
        }
        let ids = self.ids(first, &ids)?;
        let vectors = self.vectors(first, &ids, values)?;
        Ok(Some(Block {
            first,
            ids,
            vectors,
        }))
    }

    fn ids(&self, first: u64, read: &Values<i64>) -> Result<Vec<u64>, Error> {
        let mut values = read.values.iter();
        let id = |row| {
            let id = match read.is_defined(row, self.id.defined) {
                true => values.next(),
                false => None,
            };
            match id {
                Some(id) if self.id.unsigned || *id >= 0 => Ok(*id as u64),
                found => Err(VectorsError::Id {
                    path: self.path.clone(),
                    row: first + row as u64,
                    found: found.map_or_else(|| "null".to_owned(), i64::to_string),
                }),
            }
        };
        Ok((0..read.rows()).map(id).collect::<Result<_, _>>()?)
    }

    fn vectors(&self, first: u64, ids: &[u64], read: Values<f32>) -> Result<Vec<f32>, Error> {
        let lengths = read.lengths(self.vector.defined);
        for (row, (&id, &found)) in (first..).zip(ids.iter().zip(&lengths)) {
            if found != self.dim {
                return Err(VectorsError::Length {
                    path: self.path.clone(),
                    row,
                    id,
                    found,
                    expected: self.dim,
                }
                .into());
            }
        }
        for (row, (&id, vector)) in (first..).zip(ids.iter().zip(read.values.chunks(self.dim))) {
            self.check_norm(row, id, vector)?;
        }
        Ok(read.values)
    }

    fn check_norm(&self, row: u64, id: u64, vector: &[f32]) -> Result<(), VectorsError> {
        let found = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        let (good, expected) = match self.normalized {
            true => ((found - 1.0).abs() <= TOLERANCE, "1"),
            false => (found.is_finite() && found > 0.0, "more than 0"),
        };
        match good {
            true => Ok(()),
            false => Err(VectorsError::Norm {
                path: self.path.clone(),
                row,
                id,
                found,
                expected,
            }),
        }
    }
}

fn check_space(
    path: &Path,
    metadata: &ParquetMetaData,
    expected: &str,
) -> Result<(), VectorsError> {
    let keys = metadata.file_metadata().key_value_metadata();
    let space = keys.into_iter().flatten().find(|pair| pair.key == SPACE);
    let found = space.and_then(|pair| pair.value.as_deref());
    match found == Some(expected) {
        true => Ok(()),
        false => Err(VectorsError::Space {
            path: path.to_owned(),
            found: found.unwrap_or("none").to_owned(),
            expected: expected.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests;
