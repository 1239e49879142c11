//! The table of the full softmax, ready for its three products: scores, and the gradients of both sides.

use crate::kernels::bf16::{self, Panels};
use crate::kernels::matmul::{Matrix, MatrixMut, add_product, multiply};
use crate::kernels::products::Products;

/// The rows that take part, one a class.
pub(crate) enum Classes<'a> {
    /// As they are.
    F32(Matrix<'a>),
    /// Rounded, and packed once for all chunks.
    Bf16 {
        /// `[classes, d]`.
        rows: Panels,
        /// `[d, classes]`.
        columns: Panels,
        /// What else a chunk packs.
        scratch: Panels,
    },
}

impl<'a> Classes<'a> {
    /// Prepares the table `[classes, d]`.
    pub(crate) fn new(table: Matrix<'a>, products: Products) -> Self {
        match products {
            Products::F32 => Self::F32(table),
            Products::Bf16 => Self::Bf16 {
                rows: Panels::new(table),
                columns: Panels::new(table.transposed()),
                scratch: Panels::default(),
            },
        }
    }

    /// The scores of `h` `[n, d]`: `out` `[n, classes] = h table'`.
    pub(crate) fn score(&mut self, out: MatrixMut<'_>, h: Matrix<'_>) {
        match self {
            Self::F32(table) => multiply(out, h, table.transposed(), 1.0),
            Self::Bf16 { rows, scratch, .. } => {
                scratch.pack(h);
                bf16::multiply(out, scratch, rows, 1.0);
            }
        }
    }

    /// Writes the gradient of `h` and adds to that of the table, given that of the scores, `pulls`.
    pub(crate) fn pull(
        &mut self,
        pulls: Matrix<'_>,
        h: Matrix<'_>,
        grad_h: MatrixMut<'_>,
        grad_table: MatrixMut<'_>,
    ) {
        match self {
            Self::F32(table) => {
                multiply(grad_h, pulls, *table, 1.0);
                add_product(grad_table, pulls.transposed(), h);
            }
            Self::Bf16 {
                columns, scratch, ..
            } => {
                scratch.pack(pulls);
                bf16::multiply(grad_h, scratch, columns, 1.0);
                scratch.pack(pulls.transposed());
                bf16::add_product(grad_table, scratch, &Panels::new(h.transposed()));
            }
        }
    }
}
