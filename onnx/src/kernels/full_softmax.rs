//! Softmax cross-entropy over the whole catalog, fused: the logits exist for a few rows at a time and never leave the cache.

mod best;
pub(crate) mod classes;

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::kernels::full_softmax::best::Best;
use crate::kernels::full_softmax::classes::Classes;
use crate::kernels::kept::Kept;
use crate::kernels::matmul::{Matrix, MatrixMut};
use crate::kernels::products::Products;
use crate::kernels::simd::{softmax, vectorized};
use crate::kernels::tape::Tape;
use crate::kernels::values;

/// Rows whose logits are held at once: 64 x 3,416 are under 1 MiB.
const CHUNK: usize = 64;

/// For each row, the items left out of its softmax: the first events of a user's sequence.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// Item ids (rows of the table) of each user, oldest first.
    pub(crate) sequences: Arc<Vec<Vec<u32>>>,
    /// For each row the user and how many of the first events are left out.
    pub(crate) rows: Vec<(u32, u32)>,
}

impl Watched {
    /// The items left out of a row.
    pub(crate) fn row(&self, row: usize) -> &[u32] {
        let (user, len) = self.rows[row];
        &self.sequences[user as usize][..len as usize]
    }
}

/// What a loss compares, and how; a user is one position of a history that has a next event.
#[derive(Clone, Debug)]
pub(crate) struct Over {
    /// The first rows of the table, which are no items and take no part.
    pub(crate) reserved: usize,
    /// For each user the row of the table that is right; it takes part even if it is among the watched.
    pub(crate) targets: Vec<u32>,
    /// What else each user's softmax leaves out.
    pub(crate) watched: Watched,
    /// How many of the interests each user has; all, if nothing is said.
    pub(crate) active: Option<Arc<[u32]>>,
    /// Factor of the loss.
    pub(crate) scale: f32,
}

/// The sum over users of `-ln softmax(max over interests of h table')[target]`, times the scale; a scalar.
///
/// Serving takes the maximum over the interests for every item, so training must too: an item's gradient goes to the
/// interest that won it, the first of equals.
///
/// # Shapes
/// - `h`: `[users * interests, d]`; `table`: `[items, d]`
pub(crate) fn full_softmax(tape: &Tape, h: &Tensor, table: &Tensor, over: Over) -> Result<Tensor> {
    tape.apply2(
        h,
        table,
        FullSoftmax {
            over,
            products: tape.products(),
            gradients: Kept::default(),
        },
    )
}

struct FullSoftmax {
    over: Over,
    products: Products,
    /// Those of `h` and of the table.
    gradients: Kept,
}

impl CustomOp2 for FullSoftmax {
    fn name(&self) -> &'static str {
        "full-softmax"
    }

    fn cpu_fwd(
        &self,
        h: &CpuStorage,
        h_layout: &Layout,
        table: &CpuStorage,
        table_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (h, table) = (values(h, h_layout)?, values(table, table_layout)?);
        let (all, width) = table_layout.shape().dims2()?;
        let skipped = self.over.reserved * width;
        let items = all - self.over.reserved;
        let mut classes = Classes::new(Matrix::new(&table[skipped..], items, width), self.products);
        let mut grad_h = vec![0.0; h.len()];
        let mut grad_table = vec![0.0; table.len()];
        let interests = h.len() / width / self.over.targets.len();
        let rows_at_once = (CHUNK / interests).max(1) * interests;
        let mut logits = vec![0.0; rows_at_once * items];
        let mut best = Best::new(items);
        let mut users = 0..;
        let mut loss = 0.0;
        for (h, grad_h) in h
            .chunks(rows_at_once * width)
            .zip(grad_h.chunks_mut(rows_at_once * width))
        {
            let rows = h.len() / width;
            let logits = &mut logits[..rows * items];
            let h = Matrix::new(h, rows, width);
            classes.score(MatrixMut::new(logits, rows, items), h);
            for (logits, user) in logits.chunks_exact_mut(interests * items).zip(&mut users) {
                loss += match interests {
                    1 => self.pulls(user, logits),
                    _ => self.pulls_of_best(user, logits, &mut best),
                };
            }
            classes.pull(
                Matrix::new(logits, rows, items),
                h,
                MatrixMut::new(grad_h, rows, width),
                MatrixMut::new(&mut grad_table[skipped..], items, width),
            );
        }
        self.gradients.put(grad_h, grad_table);
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        h: &Tensor,
        table: &Tensor,
        _loss: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.gradients.take(h, table, grad)
    }
}

impl FullSoftmax {
    /// Turns a user's logits into their gradients and returns its share of the loss.
    fn pulls(&self, user: usize, logits: &mut [f32]) -> f64 {
        let Over {
            reserved, scale, ..
        } = self.over;
        let target = self.over.targets[user] as usize - reserved;
        let score = logits[target];
        for &item in self.over.watched.row(user) {
            logits[item as usize - reserved] = f32::NEG_INFINITY;
        }
        logits[target] = score;
        let normalizer = scaled_softmax(logits, scale);
        logits[target] -= scale;
        f64::from(scale) * f64::from(normalizer - score)
    }

    /// The same for the logits of all interests `[interests, items]`.
    fn pulls_of_best(&self, user: usize, logits: &mut [f32], best: &mut Best) -> f64 {
        let items = best.logits.len();
        let active = match &self.over.active {
            Some(active) => active[user] as usize * items,
            None => logits.len(),
        };
        best.find(&logits[..active]);
        let loss = self.pulls(user, &mut best.logits);
        best.hand_out(logits);
        loss
    }
}

vectorized! {
    /// Softmax times `scale`; returns the logarithm of the normalizer.
    fn scaled_softmax(row: &mut [f32], scale: f32) -> f32 {
        let normalizer = softmax(row);
        for x in row.iter_mut() {
            *x *= scale;
        }
        normalizer
    }
}

#[cfg(test)]
mod tests;
