//! Softmax cross-entropy over the whole catalog of users with several interests: an item's logit is its best interest's.
//!
//! Serving takes the maximum over the interests for every item, so training must too: the gradient of an item goes to the
//! interest that won it. One product gives the logits of all interests of a few users at a time.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::kernels::full_softmax::Watched;
use crate::kernels::full_softmax::classes::Classes;
use crate::kernels::kept::Kept;
use crate::kernels::matmul::{Matrix, MatrixMut};
use crate::kernels::products::Products;
use crate::kernels::simd::{softmax, vectorized};
use crate::kernels::tape::Tape;
use crate::kernels::values;

/// Users whose logits are held at once: with 5 interests and 3,416 items they are half a MiB, their vectors 10 KiB.
const USERS: usize = 8;

/// The sum over users of `-ln softmax(max over interests of h table')[target]`, times `scale`; a scalar.
///
/// # Shapes
/// - `h`: `[users * interests, d]`; `active`: how many of its interests each user has
/// - `table`: `[items, d]`, whose first `reserved` rows are no items and take no part
/// - `targets`: a row of the table for each user; it takes part even if it is among the watched
#[expect(clippy::too_many_arguments, reason = "a loss takes all it compares")]
pub(crate) fn best_full_softmax(
    tape: &Tape,
    h: &Tensor,
    table: &Tensor,
    reserved: usize,
    targets: Vec<u32>,
    active: Arc<[u32]>,
    watched: Watched,
    scale: f32,
) -> Result<Tensor> {
    let op = BestFullSoftmax {
        reserved,
        targets,
        active,
        watched,
        scale,
        products: tape.products(),
        gradients: Kept::default(),
    };
    tape.apply2(h, table, op)
}

struct BestFullSoftmax {
    reserved: usize,
    targets: Vec<u32>,
    active: Arc<[u32]>,
    watched: Watched,
    scale: f32,
    products: Products,
    /// Those of `h` and of the table.
    gradients: Kept,
}

impl CustomOp2 for BestFullSoftmax {
    fn name(&self) -> &'static str {
        "best-full-softmax"
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
        let items = all - self.reserved;
        let classes = &table[self.reserved * width..];
        let mut scorer = Classes::new(Matrix::new(classes, items, width), self.products);
        let size = h.len() / self.targets.len();
        let interests = size / width;
        let mut grad_h = vec![0.0; h.len()];
        let mut grad_table = vec![0.0; table.len()];
        let mut logits = vec![0.0; USERS * interests * items];
        let (mut pulls, mut winners) = (vec![0.0; USERS * items], vec![0; USERS * items]);
        let mut loss = 0.0;
        let chunks = h.chunks(USERS * size).zip(grad_h.chunks_mut(USERS * size));
        for (chunk, (h, grad_h)) in chunks.enumerate() {
            let users = h.len() / size;
            scorer.score(
                MatrixMut::new(&mut logits, users * interests, items),
                Matrix::new(h, users * interests, width),
            );
            let rows = pulls
                .chunks_exact_mut(items)
                .zip(winners.chunks_exact_mut(items));
            for (user, (pulls, winners)) in rows.take(users).enumerate() {
                let logits = &logits[user * interests * items..][..interests * items];
                loss += self.user(chunk * USERS + user, logits, pulls, winners);
            }
            let grad_classes = &mut grad_table[self.reserved * width..];
            pull(
                &pulls[..users * items],
                &winners,
                self.scale,
                h,
                classes,
                width,
                items,
                grad_h,
                grad_classes,
            );
        }
        self.gradients.put(grad_h, grad_table);
        let loss = (f64::from(self.scale) * loss) as f32;
        Ok((CpuStorage::F32(vec![loss]), Shape::from(())))
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

impl BestFullSoftmax {
    /// Turns a user's logits `[interests, items]` into each item's pull and winner; returns the loss, not yet scaled.
    fn user(&self, user: usize, logits: &[f32], pulls: &mut [f32], winners: &mut [u32]) -> f64 {
        let items = pulls.len();
        let target = self.targets[user] as usize - self.reserved;
        best(
            &logits[..self.active[user] as usize * items],
            pulls,
            winners,
        );
        let score = pulls[target];
        for &item in self.watched.row(user) {
            pulls[item as usize - self.reserved] = f32::NEG_INFINITY;
        }
        pulls[target] = score;
        let normalizer = in_place(pulls);
        pulls[target] -= 1.0;
        f64::from(normalizer - score)
    }
}

vectorized! {
    fn in_place(row: &mut [f32]) -> f32 {
        softmax(row)
    }
}

vectorized! {
    /// The largest logit of each item, and whose it is; the first of equals wins.
    fn best(logits: &[f32], tops: &mut [f32], winners: &mut [u32]) {
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
    /// Moves every item and the interest that won it towards or away from each other.
    fn pull(
        pulls: &[f32],
        winners: &[u32],
        scale: f32,
        h: &[f32],
        classes: &[f32],
        width: usize,
        items: usize,
        grad_h: &mut [f32],
        grad_classes: &mut [f32],
    ) {
        let users = pulls.len() / items;
        let size = h.len() / users;
        let rows = classes.chunks_exact(width).zip(grad_classes.chunks_exact_mut(width));
        for (item, (class, grad_class)) in rows.enumerate() {
            // Sixty-four columns of an item stay in registers while all users pull at them.
            for start in (0..width).step_by(BLOCK) {
                let end = width.min(start + BLOCK);
                let mut block = Block::new(&class[start..end], &grad_class[start..end]);
                for user in 0..users {
                    let at = user * items + item;
                    let row = user * size + winners[at] as usize * width;
                    let pull = scale * pulls[at];
                    if pull != 0.0 {
                        block.pull(pull, &h[row + start..row + end], &mut grad_h[row + start..row + end]);
                    }
                }
                grad_class[start..end].copy_from_slice(&block.gradient[..end - start]);
            }
        }
    }
}

/// Columns that are held at once.
const BLOCK: usize = 64;

/// Some columns of an item and of its gradient.
struct Block {
    class: [f32; BLOCK],
    gradient: [f32; BLOCK],
}

impl Block {
    #[inline(always)]
    fn new(class: &[f32], gradient: &[f32]) -> Self {
        let filled = |values: &[f32]| {
            let mut all = [0.0; BLOCK];
            all[..values.len()].copy_from_slice(values);
            all
        };
        Self {
            class: filled(class),
            gradient: filled(gradient),
        }
    }

    #[inline(always)]
    fn pull(&mut self, pull: f32, h: &[f32], grad_h: &mut [f32]) {
        if let (Some(h), Some(grad_h)) = (h.as_array::<BLOCK>(), grad_h.as_mut_array::<BLOCK>()) {
            for at in 0..BLOCK {
                self.gradient[at] += pull * h[at];
                grad_h[at] += pull * self.class[at];
            }
            return;
        }
        for (at, (h, grad_h)) in h.iter().zip(grad_h).enumerate() {
            self.gradient[at] += pull * h;
            *grad_h += pull * self.class[at];
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::kernels::full_softmax::full_softmax;
    use crate::kernels::gradient::{check, random};

    fn watched(rows: &[(u32, u32)]) -> Watched {
        Watched {
            sequences: Arc::new(vec![vec![3, 5, 2], vec![6]]),
            rows: rows.to_vec(),
        }
    }

    #[test]
    fn the_backward_agrees_with_differences() {
        let inputs = [random(&[9, 19], 1), random(&[8, 19], 2)];
        for active in [[3, 3, 3], [2, 3, 1]] {
            check(&inputs, |tape, inputs| {
                best_full_softmax(
                    tape,
                    &inputs[0],
                    &inputs[1],
                    2,
                    vec![4, 5, 2],
                    active.into(),
                    watched(&[(0, 2), (0, 3), (1, 1)]),
                    0.5,
                )
            });
        }
    }

    fn gradients(of: impl Fn(&Tape) -> Tensor, inputs: [&Tensor; 2]) -> (f32, [Vec<f32>; 2]) {
        let tape = Tape::recording();
        let loss = of(&tape);
        let seed = Tensor::new(1.0_f32, loss.device()).unwrap();
        let gradients = tape.backward(&loss, seed).unwrap();
        let of = |x: &Tensor| gradients[&x.id()].flatten_all().unwrap().to_vec1().unwrap();
        (loss.to_scalar().unwrap(), inputs.map(of))
    }

    #[test]
    fn with_one_interest_it_is_the_plain_softmax_however_many_users() {
        for width in [4, 64, 70] {
            check_plain(width);
        }
    }

    fn check_plain(width: usize) {
        let (h, table) = (random(&[21, width], 1), random(&[9, width], 2));
        let targets: Vec<u32> = (0..21).map(|row| row % 7 + 2).collect();
        let ours = |tape: &Tape| {
            let (targets, active) = (targets.clone(), vec![1; 21].into());
            let watched = watched(&[(0, 3); 21]);
            best_full_softmax(tape, &h, &table, 2, targets, active, watched, 0.5).unwrap()
        };
        let plain = |tape: &Tape| {
            let watched = watched(&[(0, 3); 21]);
            full_softmax(tape, &h, &table, 2, targets.clone(), watched, 0.5).unwrap()
        };
        let (loss, found) = gradients(ours, [&h, &table]);
        let (expected_loss, expected) = gradients(plain, [&h, &table]);
        assert!((loss / expected_loss - 1.0).abs() < 1e-5);
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn only_the_winner_of_an_item_learns_from_it() {
        let device = candle_core::Device::Cpu;
        let h = Tensor::new(&[[1.0_f32, 0.0], [0.0, 1.0], [-1.0, -1.0]], &device).unwrap();
        let table = Tensor::new(&[[0.0_f32, 0.0], [2.0, 0.0], [0.0, 2.0]], &device).unwrap();
        let of = |tape: &Tape| {
            let active = [3].into();
            best_full_softmax(
                tape,
                &h,
                &table,
                1,
                vec![1],
                active,
                watched(&[(0, 0)]),
                1.0,
            )
            .unwrap()
        };
        let (loss, [of_h, of_table]) = gradients(of, [&h, &table]);
        assert!((loss - 2.0_f32.ln()).abs() < 1e-6);
        assert_eq!(of_h, [-1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(of_table, [0.0, 0.0, -0.5, 0.0, 0.0, 0.5]);
    }
}
