//! Which numbers the large matrix products of a training step multiply.

use serde::{Deserialize, Serialize};

use crate::kernels::bf16::{self, Panels};
use crate::kernels::matmul::{self, Matrix, MatrixMut};

/// The numbers that a product's inputs are rounded to; sums are f32 in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Products {
    /// Not rounded.
    #[default]
    F32,
    /// Eight bits of mantissa: about twice as fast where the processor has AVX-512's bf16, slower where it lacks it.
    Bf16,
}

impl Products {
    /// `out = factor * a b`.
    pub(crate) fn multiply(self, out: MatrixMut<'_>, a: Matrix<'_>, b: Matrix<'_>, factor: f32) {
        match self {
            Self::F32 => matmul::multiply(out, a, b, factor),
            Self::Bf16 => {
                let (a, b) = (Panels::new(a), Panels::new(b.transposed()));
                bf16::multiply(out, &a, &b, factor);
            }
        }
    }

    /// `out += a b`.
    pub(crate) fn add_product(self, out: MatrixMut<'_>, a: Matrix<'_>, b: Matrix<'_>) {
        match self {
            Self::F32 => matmul::add_product(out, a, b),
            Self::Bf16 => {
                bf16::add_product(out, &Panels::new(a), &Panels::new(b.transposed()));
            }
        }
    }
}
