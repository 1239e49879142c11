//! A safe door to `gemm`: matrix products on one thread over borrowed, strided rows.

use gemm::Parallelism;

/// A borrowed matrix; entry `(row, column)` is `data[row * row_stride + column * column_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` values, one after another.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows of `columns` values that begin `stride` apart.
    pub(crate) fn strided(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(
            within(data.len(), rows, columns, stride),
            "a matrix outside its data"
        );
        Self {
            data,
            rows,
            columns,
            row_stride: stride,
            column_stride: 1,
        }
    }

    /// The same values, rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// An entry.
    pub(super) fn at(self, row: usize, column: usize) -> f32 {
        self.data[row * self.row_stride + column * self.column_stride]
    }
}

/// A matrix to write to, row after row.
pub(crate) struct MatrixMut<'a> {
    data: &'a mut [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// Rows of `columns` values, one after another.
    pub(crate) fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows of `columns` values that begin `stride` apart.
    pub(crate) fn strided(data: &'a mut [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(
            columns <= stride && within(data.len(), rows, columns, stride),
            "a matrix outside its data"
        );
        Self {
            data,
            rows,
            columns,
            stride,
        }
    }

    /// `count` values of a row from a column on.
    #[inline(always)]
    pub(super) fn row(&mut self, row: usize, column: usize, count: usize) -> &mut [f32] {
        &mut self.data[row * self.stride + column..][..count]
    }
}

/// `out = factor * a b`.
pub(crate) fn multiply(out: MatrixMut<'_>, a: Matrix<'_>, b: Matrix<'_>, factor: f32) {
    product(out, a, b, factor, false);
}

/// `out += a b`.
pub(crate) fn add_product(out: MatrixMut<'_>, a: Matrix<'_>, b: Matrix<'_>) {
    product(out, a, b, 1.0, true);
}

#[expect(unsafe_code, reason = "gemm takes pointers and strides")]
fn product(out: MatrixMut<'_>, a: Matrix<'_>, b: Matrix<'_>, factor: f32, add: bool) {
    assert_eq!(
        (out.rows, out.columns, a.columns),
        (a.rows, b.columns, b.rows),
        "shapes of a product"
    );
    // SAFETY: the constructors checked that every entry of the three matrices lies in its slice; `out` is borrowed
    // mutably, so it overlaps neither `a` nor `b`, and its rows do not overlap each other (columns <= stride).
    unsafe {
        gemm::gemm(
            out.rows,
            out.columns,
            a.columns,
            out.data.as_mut_ptr(),
            1,
            out.stride as isize,
            add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0_f32,
            factor,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

fn within(len: usize, rows: usize, columns: usize, stride: usize) -> bool {
    rows == 0 || columns == 0 || (rows - 1) * stride + columns <= len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strided_transposed_product_is_added_to_what_is_there() {
        let a = [1.0, 2.0, 9.0, 3.0, 4.0, 9.0]; // 2 x 2, rows 3 apart
        let b = [5.0, 6.0, 7.0, 8.0]; // 2 x 2
        let mut out = [1.0; 4];
        add_product(
            MatrixMut::new(&mut out, 2, 2),
            Matrix::strided(&a, 2, 2, 3).transposed(),
            Matrix::new(&b, 2, 2),
        );
        assert_eq!(out, [27.0, 31.0, 39.0, 45.0]);
        multiply(
            MatrixMut::new(&mut out, 2, 2),
            Matrix::strided(&a, 2, 2, 3),
            Matrix::new(&b, 2, 2),
            0.5,
        );
        assert_eq!(out, [9.5, 11.0, 21.5, 25.0]);
    }

    #[test]
    #[should_panic(expected = "a matrix outside its data")]
    fn a_matrix_larger_than_its_data_is_refused() {
        Matrix::new(&[0.0; 5], 2, 3);
    }
}
