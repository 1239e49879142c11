//! How the numbers of vectors are stored: as they are, or rounded to 16 bits.

use half::{
    f16,
    slice::{HalfBitsSliceExt as _, HalfFloatSliceExt as _},
};
use serde::{Deserialize, Serialize};

/// How numbers are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// As they are.
    #[default]
    F32,
    /// In half of the bytes, IEEE 754 binary16; each is an f32, too.
    F16,
}

/// Numbers as they are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Numbers<'a> {
    /// By [`Storage::F32`].
    F32(&'a [f32]),
    /// By [`Storage::F16`].
    F16(&'a [f16]),
}

impl Storage {
    /// Whether numbers are stored as they are.
    pub fn is_f32(&self) -> bool {
        *self == Self::F32
    }

    /// Bytes of a number.
    pub(super) fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }

    /// Borrows numbers from bytes that are aligned for them.
    pub(super) fn numbers(self, bytes: &[u8]) -> Numbers<'_> {
        match self {
            Self::F32 => Numbers::F32(bytemuck::cast_slice(bytes)),
            Self::F16 => {
                let bits: &[u16] = bytemuck::cast_slice(bytes);
                Numbers::F16(bits.reinterpret_cast())
            }
        }
    }
}

impl<'a> Numbers<'a> {
    /// How they are stored.
    pub(super) fn storage(self) -> Storage {
        match self {
            Self::F32(_) => Storage::F32,
            Self::F16(_) => Storage::F16,
        }
    }

    /// How many.
    pub(super) fn count(self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::F16(numbers) => numbers.len(),
        }
    }

    /// Their bytes.
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Self::F32(numbers) => bytemuck::cast_slice(numbers),
            Self::F16(numbers) => bytemuck::cast_slice(numbers.reinterpret_cast()),
        }
    }
}
