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

/// For each item the largest logit over the interests, and whose it is.
struct Best {
    logits: Vec<f32>,
    winners: Vec<u32>,
}

impl Best {
    fn new(items: usize) -> Self {
        Self {
            logits: vec![0.0; items],
            winners: vec![0; items],
        }
    }

    fn find(&mut self, logits: &[f32]) {
        find_best(logits, &mut self.logits, &mut self.winners);
    }

    /// Gives every item's value to the interest that won it, 0 to the others.
    fn hand_out(&self, rows: &mut [f32]) {
        hand_out(&self.logits, &self.winners, rows);
    }
}

vectorized! {
    fn find_best(logits: &[f32], tops: &mut [f32], winners: &mut [u32]) {
        let (first, others) = logits.split_at(tops.len());
        tops.copy_from_slice(first);
        winners.fill(0);
        for (interest, row) in (1..).zip(others.chunks_exact(tops.len())) {
            for ((top, winner), &logit) in tops.iter_mut().zip(winners.iter_mut()).zip(row) {
                let better = logit > *top;
                *top = if better { logit } else { *top };
                *winner = if better { interest } else { *winner };
            }
        }
    }
}

vectorized! {
    fn hand_out(values: &[f32], winners: &[u32], rows: &mut [f32]) {
        for (interest, row) in (0..).zip(rows.chunks_exact_mut(values.len())) {
            for ((x, &value), &winner) in row.iter_mut().zip(values).zip(winners) {
                *x = if winner == interest { value } else { 0.0 };
            }
        }
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

    fn over(targets: Vec<u32>, watched: Watched, scale: f32) -> Over {
        Over {
            reserved: 2,
            targets,
            watched,
            active: None,
            scale,
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
                over(vec![4, 5, 2], watched(&[(0, 2), (0, 3), (1, 1)]), 0.5),
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
            over(targets.clone(), watched(&[(1, 0); 150]), 1.0),
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
        let active: Arc<[u32]> = (0..70).map(|user| user % 3 + 1).collect();
        rounded_products_are_nearly_exact(1, None, 0.01);
        // An item whose two best interests are nearly equal may have the other one win.
        rounded_products_are_nearly_exact(3, None, 0.1);
        rounded_products_are_nearly_exact(3, Some(active), 0.1);
    }

    fn rounded_products_are_nearly_exact(interests: usize, active: Option<Arc<[u32]>>, bound: f32) {
        let (h, table) = (random(&[70 * interests, 32], 1), random(&[99, 32], 2));
        let run = |products| {
            let tape = Tape::recording().with(products);
            let targets = (0..70).map(|row| row + 2).collect();
            let over = Over {
                active: active.clone(),
                ..over(targets, watched(&[(0, 3); 70]), 0.1)
            };
            let loss = full_softmax(&tape, &h, &table, over).unwrap();
            let seed = Tensor::new(1.0_f32, h.device()).unwrap();
            let gradients = tape.backward(&loss, seed).unwrap();
            [loss.flatten_all().unwrap()]
                .into_iter()
                .chain([&h, &table].map(|x| gradients[&x.id()].flatten_all().unwrap()))
                .map(|x| x.to_vec1::<f32>().unwrap())
                .collect::<Vec<_>>()
        };
        let length = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
        for (exact, rounded) in run(Products::F32).iter().zip(run(Products::Bf16)) {
            let gap: Vec<f32> = exact.iter().zip(rounded).map(|(x, y)| x - y).collect();
            let share = length(&gap) / length(exact);
            assert!(share < bound, "{share} with {interests} interests");
        }
    }

    #[test]
    fn a_watched_item_gets_no_gradient() {
        let (h, table) = (random(&[1, 4], 1), random(&[8, 4], 2));
        let tape = Tape::recording();
        let loss = full_softmax(&tape, &h, &table, over(vec![4], watched(&[(0, 3)]), 1.0)).unwrap();
        let gradients = tape
            .backward(&loss, Tensor::new(1.0_f32, h.device()).unwrap())
            .unwrap();
        let rows = gradients[&table.id()].to_vec2::<f32>().unwrap();
        for item in [0, 1, 2, 3, 5] {
            assert_eq!(rows[item], [0.0; 4], "item {item}");
        }
        assert_ne!(rows[7], [0.0; 4]);
    }

    #[test]
    fn the_backward_of_several_interests_agrees_with_differences() {
        let inputs = [random(&[9, 19], 1), random(&[8, 19], 2)];
        for active in [[3, 3, 3], [2, 3, 1]] {
            check(&inputs, |tape, inputs| {
                let watched = watched(&[(0, 2), (0, 3), (1, 1)]);
                let over = Over {
                    active: Some(active.into()),
                    ..over(vec![4, 5, 2], watched, 0.5)
                };
                full_softmax(tape, &inputs[0], &inputs[1], over)
            });
        }
    }

    #[test]
    fn a_user_with_one_of_several_interests_is_a_user_with_one() {
        let (h, table) = (random(&[150, 8], 1), random(&[9, 8], 2));
        let targets: Vec<u32> = (0..50).map(|row| row % 7 + 2).collect();
        let first = (0..50).map(|user| 3 * user).collect::<Vec<u32>>();
        let first = Tensor::new(first, h.device()).unwrap();
        let alone = h.index_select(&first, 0).unwrap();
        let run = |h: &Tensor, active: Option<Arc<[u32]>>| {
            let tape = Tape::recording();
            let over = Over {
                active,
                ..over(targets.clone(), watched(&[(0, 3); 50]), 0.5)
            };
            let loss = full_softmax(&tape, h, &table, over).unwrap();
            let seed = Tensor::new(1.0_f32, h.device()).unwrap();
            let mut gradients = tape.backward(&loss, seed).unwrap();
            let mut of = |x: &Tensor| gradients.remove(&x.id()).unwrap();
            (loss.to_scalar::<f32>().unwrap(), of(h), of(&table))
        };
        let (loss, of_h, of_table) = run(&h, Some(vec![1; 50].into()));
        let (expected_loss, expected_of_h, expected_of_table) = run(&alone, None);
        assert!((loss / expected_loss - 1.0).abs() < 1e-5);
        let of_first = of_h.index_select(&first, 0).unwrap();
        for (found, expected) in [(of_first, expected_of_h), (of_table, expected_of_table)] {
            let gap = (found - expected).unwrap().abs().unwrap();
            assert!(gap.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-5);
        }
    }

    #[test]
    fn only_the_winner_of_an_item_learns_from_it() {
        let device = candle_core::Device::Cpu;
        let h = Tensor::new(&[[1.0_f32, 0.0], [0.0, 1.0], [-1.0, -1.0]], &device).unwrap();
        let table = Tensor::new(
            &[[0.0_f32, 0.0], [0.0, 0.0], [2.0, 0.0], [0.0, 2.0]],
            &device,
        );
        let table = table.unwrap();
        let tape = Tape::recording();
        let over = over(vec![2], watched(&[(0, 0)]), 1.0);
        let loss = full_softmax(&tape, &h, &table, over).unwrap();
        assert!((loss.to_scalar::<f32>().unwrap() - 2.0_f32.ln()).abs() < 1e-6);
        let gradients = tape
            .backward(&loss, Tensor::new(1.0_f32, &device).unwrap())
            .unwrap();
        let of = |x: &Tensor| gradients[&x.id()].to_vec2::<f32>().unwrap();
        assert_eq!(of(&h), [[-1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]);
        assert_eq!(
            of(&table),
            [[0.0, 0.0], [0.0, 0.0], [-0.5, 0.0], [0.0, 0.5]]
        );
    }
}
