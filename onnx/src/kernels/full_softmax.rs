//! Softmax cross-entropy over the whole catalog, fused: the logits exist for a few rows at a time and never leave the cache.

pub(crate) mod classes;

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

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

/// The sum over rows of `-ln softmax(h table')[target]`, times `scale`; a scalar.
///
/// # Shapes
/// - `h`: `[n, d]`; `table`: `[items, d]`, whose first `reserved` rows are no items and take no part
/// - `targets`: `n` rows of the table; a target takes part even if it is among the watched
pub(crate) fn full_softmax(
    tape: &Tape,
    h: &Tensor,
    table: &Tensor,
    reserved: usize,
    targets: Vec<u32>,
    watched: Watched,
    scale: f32,
) -> Result<Tensor> {
    tape.apply2(
        h,
        table,
        FullSoftmax {
            reserved,
            targets,
            watched,
            scale,
            products: tape.products(),
            gradients: Kept::default(),
        },
    )
}

struct FullSoftmax {
    reserved: usize,
    targets: Vec<u32>,
    watched: Watched,
    scale: f32,
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
        let skipped = self.reserved * width;
        let items = all - self.reserved;
        let mut classes = Classes::new(Matrix::new(&table[skipped..], items, width), self.products);
        let mut grad_h = vec![0.0; h.len()];
        let mut grad_table = vec![0.0; table.len()];
        let mut logits = vec![0.0; CHUNK * items];
        let mut loss = 0.0;
        for (chunk, (h, grad_h)) in h
            .chunks(CHUNK * width)
            .zip(grad_h.chunks_mut(CHUNK * width))
            .enumerate()
        {
            let rows = h.len() / width;
            let logits = &mut logits[..rows * items];
            let h = Matrix::new(h, rows, width);
            classes.score(MatrixMut::new(logits, rows, items), h);
            for (row, logits) in logits.chunks_exact_mut(items).enumerate() {
                let row = chunk * CHUNK + row;
                loss += self.row(row, logits);
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
    /// Turns a row's logits into their gradients and returns its share of the loss.
    fn row(&self, row: usize, logits: &mut [f32]) -> f64 {
        let target = self.targets[row] as usize - self.reserved;
        let score = logits[target];
        for &item in self.watched.row(row) {
            logits[item as usize - self.reserved] = f32::NEG_INFINITY;
        }
        logits[target] = score;
        let normalizer = scaled_softmax(logits, self.scale);
        logits[target] -= self.scale;
        f64::from(self.scale) * f64::from(normalizer - score)
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
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use candle_core::D;

    use super::*;
    use crate::kernels::gradient::{check, random};

    fn watched(rows: &[(u32, u32)]) -> Watched {
        Watched {
            sequences: Arc::new(vec![vec![3, 5, 2], vec![6]]),
            rows: rows.to_vec(),
        }
    }

    #[test]
    fn the_backward_agrees_with_differences() {
        let inputs = [random(&[3, 4], 1), random(&[8, 4], 2)];
        check(&inputs, |tape, inputs| {
            full_softmax(
                tape,
                &inputs[0],
                &inputs[1],
                2,
                vec![4, 5, 2],
                watched(&[(0, 2), (0, 3), (1, 1)]),
                0.5,
            )
        });
    }

    #[test]
    fn more_rows_than_a_chunk_agree_with_candle() {
        let (h, table) = (random(&[150, 4], 1), random(&[9, 4], 2));
        let targets: Vec<u32> = (0..150).map(|row| row % 7 + 2).collect();
        let tape = Tape::recording();
        let ours = full_softmax(
            &tape,
            &h,
            &table,
            2,
            targets.clone(),
            watched(&[(1, 0); 150]),
            1.0,
        )
        .unwrap();
        let logits = h
            .matmul(&table.narrow(0, 2, 7).unwrap().t().unwrap())
            .unwrap();
        let normalizers = logits
            .exp()
            .unwrap()
            .sum(D::Minus1)
            .unwrap()
            .log()
            .unwrap()
            .sum_all()
            .unwrap();
        let columns = Tensor::from_vec(
            targets.iter().map(|t| t - 2).collect::<Vec<_>>(),
            (150, 1),
            h.device(),
        );
        let scores = logits
            .gather(&columns.unwrap(), 1)
            .unwrap()
            .sum_all()
            .unwrap();
        let candle = (normalizers - scores).unwrap();
        let loss = |t: &Tensor| t.to_scalar::<f32>().unwrap();
        assert!((loss(&ours) / loss(&candle) - 1.0).abs() < 1e-5);
        let candle = candle.backward().unwrap();
        let ours = tape
            .backward(&ours, Tensor::new(1.0_f32, h.device()).unwrap())
            .unwrap();
        for input in [&h, &table] {
            let gap = (&ours[&input.id()] - candle.get(input).unwrap())
                .unwrap()
                .abs()
                .unwrap();
            assert!(gap.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-5);
        }
    }

    #[test]
    fn rounded_products_give_nearly_the_same_loss_and_gradients() {
        let (h, table) = (random(&[70, 32], 1), random(&[99, 32], 2));
        let run = |products| {
            let tape = Tape::recording().with(products);
            let targets = (0..70).map(|row| row + 2).collect();
            let watched = watched(&[(0, 3); 70]);
            let loss = full_softmax(&tape, &h, &table, 2, targets, watched, 0.1).unwrap();
            let seed = Tensor::new(1.0_f32, h.device()).unwrap();
            let gradients = tape.backward(&loss, seed).unwrap();
            [loss.flatten_all().unwrap()]
                .into_iter()
                .chain([&h, &table].map(|x| gradients[&x.id()].flatten_all().unwrap()))
                .map(|x| x.to_vec1::<f32>().unwrap())
                .collect::<Vec<_>>()
        };
        for (exact, rounded) in run(Products::F32).iter().zip(run(Products::Bf16)) {
            let size = exact.iter().fold(0.0_f32, |top, x| top.max(x.abs()));
            for (x, y) in exact.iter().zip(rounded) {
                assert!((x - y).abs() < 0.01 * size, "{x} and {y} among {size}");
            }
        }
    }

    #[test]
    fn a_watched_item_gets_no_gradient() {
        let (h, table) = (random(&[1, 4], 1), random(&[8, 4], 2));
        let tape = Tape::recording();
        let loss = full_softmax(&tape, &h, &table, 2, vec![4], watched(&[(0, 3)]), 1.0).unwrap();
        let gradients = tape
            .backward(&loss, Tensor::new(1.0_f32, h.device()).unwrap())
            .unwrap();
        let rows = gradients[&table.id()].to_vec2::<f32>().unwrap();
        for item in [0, 1, 2, 3, 5] {
            assert_eq!(rows[item], [0.0; 4], "item {item}");
        }
        assert_ne!(rows[7], [0.0; 4]);
    }
}
