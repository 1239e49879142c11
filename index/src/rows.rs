//! Item ids and their vectors, borrowed from wherever they are.

use crate::error::Error;

/// The rows of a shard: one id and one vector each.
#[derive(Clone, Copy, Debug)]
pub struct RowsView<'a> {
    ids: &'a [u64],
    vectors: &'a [f32],
    dim: usize,
}

impl<'a> RowsView<'a> {
    /// Borrows `n` ids and `[n, dim]` numbers.
    ///
    /// # Panics
    /// If there are not `dim` numbers, at least one, for every id.
    pub fn new(ids: &'a [u64], vectors: &'a [f32], dim: usize) -> Self {
        assert!(dim > 0, "vectors have no numbers");
        assert_eq!(
            Some(vectors.len()),
            ids.len().checked_mul(dim),
            "{} rows of {dim} numbers",
            ids.len()
        );
        Self { ids, vectors, dim }
    }

    /// The item ids, in the order of the rows.
    pub fn ids(&self) -> &'a [u64] {
        self.ids
    }

    /// All vectors, `[len, dim]`.
    pub fn vectors(&self) -> &'a [f32] {
        self.vectors
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
    pub fn row(&self, i: usize) -> &'a [f32] {
        &self.vectors[i * self.dim..][..self.dim]
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
        for (row, vector) in self.vectors.chunks_exact(self.dim).enumerate() {
            if let Some(length) = unusable(vector) {
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

/// Returns the squared length of a vector that cannot be compared: one that is zero or not finite.
///
/// Where both squared lengths are finite f32, so is every partial sum of a dot product.
pub(crate) fn unusable(vector: &[f32]) -> Option<f32> {
    let length: f32 = vector.iter().map(|x| x * x).sum();
    (!(length.is_finite() && length > 0.0)).then_some(length)
}
