//! Where the heads of attention lie in rows of queries, keys and values, window after window.

use std::ops::Range;

use candle_core::{Result, Shape};

use crate::kernels::matmul::{Matrix, MatrixMut};

/// One head of one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The window's first row.
    pub(crate) row: usize,
    /// How many rows it has.
    pub(crate) rows: usize,
    /// The head.
    head: usize,
    /// The sum over the windows before it of their rows squared.
    squares: usize,
}

impl Part {
    /// Where something by query and key, `[rows, rows]` for each window, lies.
    pub(crate) fn pairs(self) -> Range<usize> {
        self.squares..self.squares + self.rows * self.rows
    }
}

/// How the heads share a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    /// Width of a row of queries, of keys or of values.
    pub(crate) width: usize,
    heads: usize,
}

impl Heads {
    /// The heads of `qkv` `[n, 3 * width]` that have a bias `[heads, columns]`.
    pub(crate) fn new(qkv: &Shape, bias: &Shape) -> Result<Self> {
        Ok(Self {
            width: qkv.dims2()?.1 / 3,
            heads: bias.dims2()?.0,
        })
    }

    /// Every head of every window that has a row; windows lie end to end and end at `ends`.
    pub(crate) fn parts(self, ends: &[u32]) -> impl Iterator<Item = Part> {
        let (mut row, mut squares) = (0, 0);
        let windows = ends.iter().map(move |&end| {
            let window = (row, end as usize - row, squares);
            row = end as usize;
            squares += window.1 * window.1;
            window
        });
        let windows = windows.filter(|window| window.1 > 0);
        windows.flat_map(move |(row, rows, squares)| {
            (0..self.heads).map(move |head| Part {
                row,
                rows,
                head,
                squares,
            })
        })
    }

    /// Where the part's weights lie, `[rows, rows]` for each head of each window.
    pub(crate) fn weights(self, part: Part) -> Range<usize> {
        let square = part.rows * part.rows;
        let start = self.heads * part.squares + part.head * square;
        start..start + square
    }

    /// What scores are multiplied by: one over the root of a head's width.
    pub(crate) fn scale(self) -> f32 {
        1.0 / (self.size() as f32).sqrt()
    }

    /// The row of the part's head in `[heads, columns]`.
    pub(crate) fn bias(self, part: Part, len: usize) -> Range<usize> {
        let columns = len / self.heads;
        part.head * columns..(part.head + 1) * columns
    }

    /// The `kind`th of queries, keys, values of a part.
    pub(crate) fn of<'a>(self, qkv: &'a [f32], part: Part, kind: usize) -> Matrix<'a> {
        let start = self.start(part, kind);
        Matrix::strided(&qkv[start..], part.rows, self.size(), 3 * self.width)
    }

    /// The same, to write to.
    pub(crate) fn of_mut<'a>(self, qkv: &'a mut [f32], part: Part, kind: usize) -> MatrixMut<'a> {
        let start = self.start(part, kind);
        MatrixMut::strided(&mut qkv[start..], part.rows, self.size(), 3 * self.width)
    }

    /// The part of the result `[n, width]`.
    pub(crate) fn out<'a>(self, out: &'a [f32], part: Part) -> Matrix<'a> {
        let start = part.row * self.width + part.head * self.size();
        Matrix::strided(&out[start..], part.rows, self.size(), self.width)
    }

    /// The same, to write to.
    pub(crate) fn out_mut<'a>(self, out: &'a mut [f32], part: Part) -> MatrixMut<'a> {
        let start = part.row * self.width + part.head * self.size();
        MatrixMut::strided(&mut out[start..], part.rows, self.size(), self.width)
    }

    fn size(self) -> usize {
        self.width / self.heads
    }

    fn start(self, part: Part, kind: usize) -> usize {
        (3 * part.row + kind) * self.width + part.head * self.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_their_weights_lie_end_to_end_and_empty_windows_have_none() {
        let heads = Heads { width: 6, heads: 2 };
        let parts: Vec<Part> = heads.parts(&[1, 1, 4]).collect();
        let weights: Vec<_> = parts.iter().map(|&part| heads.weights(part)).collect();
        assert_eq!(weights, [0..1, 1..2, 2..11, 11..20]);
        let pairs: Vec<_> = parts.iter().map(|part| part.pairs()).collect();
        assert_eq!(pairs, [0..1, 0..1, 1..10, 1..10]);
        assert_eq!(heads.bias(parts[3], 8), 4..8);
    }
}
