//! Why ready vectors cannot be taken.

use std::path::PathBuf;

/// Why ready vectors cannot be taken; nothing is indexed then.
#[derive(Debug, thiserror::Error)]
pub enum VectorsError {
    /// They are of another space, or of none that is named.
    #[error("{}: its vectors are of space {found}, the artifact's is {expected}", .path.display())]
    Space {
        /// The file.
        path: PathBuf,
        /// What its footer says.
        found: String,
        /// The artifact's space.
        expected: String,
    },
    /// A vector has another length than those of the artifact.
    #[error("{}: row {row}: the vector of item {id} has {found} numbers, the artifact's have {expected}", .path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// The row, from 1.
        row: u64,
        /// The item.
        id: u64,
        /// Its numbers.
        found: usize,
        /// The artifact's.
        expected: usize,
    },
    /// A vector cannot be compared with anything.
    #[error("{}: row {row}: the vector of item {id} has the length {found}, expected {expected}", .path.display())]
    Norm {
        /// The file.
        path: PathBuf,
        /// The row, from 1.
        row: u64,
        /// The item.
        id: u64,
        /// How long it is; not a number if one of its numbers is none.
        found: f32,
        /// How long it may be.
        expected: &'static str,
    },
    /// A row has no id, or one that no item has.
    #[error("{}: row {row}: item_id is {found}, expected 0 to {max}", .path.display(), max = u64::MAX)]
    Id {
        /// The file.
        path: PathBuf,
        /// The row, from 1.
        row: u64,
        /// What stands there.
        found: String,
    },
    /// Two rows have one id.
    #[error("{}: rows {first} and {second} both have item id {id}", .path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The id.
        id: u64,
        /// The earlier row, from 1.
        first: u64,
        /// The later row.
        second: u64,
    },
}
