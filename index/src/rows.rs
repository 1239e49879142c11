//! Item ids and their vectors, borrowed from wherever they are.

pub mod halves;

use std::{borrow::Cow, ops::Range};

use half::{f16, slice::HalfFloatSliceExt as _};

use crate::error::Error;

/// The rows of a shard: one id and one vector each.
#[derive(Clone, Copy, Debug)]
pub struct RowsView<'a> {
    ids: &'a [u64],
    vectors: Vectors<'a>,
    dim: usize,
}

/// Vectors as they are stored; what was rounded is used as the f32 that it is.
#[derive(Clone, Copy, Debug)]
enum Vectors<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
}

impl<'a> RowsView<'a> {
    /// Borrows `n` ids and `[n, dim]` numbers.
    ///
    /// # Panics
    /// If there are not `dim` numbers, at least one, for every id.
    pub fn new(ids: &'a [u64], vectors: &'a [f32], dim: usize) -> Self {
        check_count(ids.len(), vectors.len(), dim);
        Self {
            ids,
            vectors: Vectors::F32(vectors),
            dim,
        }
    }

    /// Borrows `n` ids and `[n, dim]` numbers that were rounded to 16 bits.
    ///
    /// # Panics
    /// As [`RowsView::new`].
    pub fn halves(ids: &'a [u64], vectors: &'a [f16], dim: usize) -> Self {
        check_count(ids.len(), vectors.len(), dim);
        Self {
            ids,
            vectors: Vectors::F16(vectors),
            dim,
        }
    }

    /// The item ids, in the order of the rows.
    pub fn ids(&self) -> &'a [u64] {
        self.ids
    }

    /// Numbers a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The vector of row `i`.
    ///
    /// # Panics
    /// If there is no row `i`.
    pub fn row(&self, i: usize) -> Cow<'a, [f32]> {
        let numbers = self.numbers(i..i + 1);
        match self.vectors {
            Vectors::F32(vectors) => Cow::Borrowed(&vectors[numbers]),
            Vectors::F16(vectors) => Cow::Owned(vectors[numbers].to_f32_vec()),
        }
    }

    /// Appends the vector of row `i` to others.
    ///
    /// # Panics
    /// If there is no row `i`.
    pub(crate) fn append(&self, i: usize, others: &mut Vec<f32>) {
        let numbers = self.numbers(i..i + 1);
        match self.vectors {
            Vectors::F32(vectors) => others.extend_from_slice(&vectors[numbers]),
            Vectors::F16(vectors) => {
                let end = others.len();
                others.resize(end + self.dim, 0.0);
                vectors[numbers].convert_to_f32_slice(&mut others[end..]);
            }
        }
    }

    /// The vectors of some rows side by side, where they are or else in the room.
    ///
    /// # Panics
    /// If one of the rows does not exist.
    pub(crate) fn block<'b>(&self, rows: Range<usize>, room: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        let numbers = self.numbers(rows);
        match self.vectors {
            Vectors::F32(vectors) => &vectors[numbers],
            Vectors::F16(vectors) => {
                room.resize(numbers.len(), 0.0);
                vectors[numbers].convert_to_f32_slice(room);
                room
            }
        }
    }

    /// Where the numbers of some rows are.
    fn numbers(&self, rows: Range<usize>) -> Range<usize> {
        rows.start * self.dim..rows.end * self.dim
    }

    /// Refuses ids that are not strictly ascending.
    pub(crate) fn check_ids(&self) -> Result<(), Error> {
        match self.ids.windows(2).position(|pair| pair[0] >= pair[1]) {
            None => Ok(()),
            Some(before) => Err(Error::Order {
                row: before + 1,
                id: self.ids[before + 1],
                previous: self.ids[before],
            }),
        }
    }

    /// Refuses vectors that are not finite or are zero.
    pub(crate) fn check_vectors(&self) -> Result<(), Error> {
        let mut room = Vec::new();
        for row in 0..self.len() {
            if let Some(length) = unusable(self.block(row..row + 1, &mut room)) {
                return Err(Error::Vector {
                    row,
                    id: self.ids[row],
                    length,
                });
            }
        }
        Ok(())
    }
}

fn check_count(ids: usize, numbers: usize, dim: usize) {
    assert!(dim > 0, "vectors have no numbers");
    assert_eq!(
        Some(numbers),
        ids.checked_mul(dim),
        "{ids} rows of {dim} numbers"
    );
}

/// Returns the squared length of a vector that cannot be compared: one that is zero or not finite.
///
/// Where both squared lengths are finite f32, so is every partial sum of a dot product.
pub(crate) fn unusable(vector: &[f32]) -> Option<f32> {
    let length: f32 = vector.iter().map(|x| x * x).sum();
    (!(length.is_finite() && length > 0.0)).then_some(length)
}
