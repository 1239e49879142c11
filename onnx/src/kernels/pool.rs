//! Pools histories in several ways at once: weighted sums of rows, the weights by an event's age and the history's length.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use crate::kernels::simd::{dot, vectorized};
use crate::kernels::tape::Tape;
use crate::kernels::{read, tensor, values};

/// Histories end to end, without padding; history `i` is `rows[ends[i - 1]..ends[i]]`, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Histories {
    /// Rows of the table that is pooled.
    pub(crate) rows: Arc<[u32]>,
    /// Ascending to the number of rows.
    pub(crate) ends: Arc<[u32]>,
}

/// The weights of each pooling; the event `age` events before the newest of `n` weighs `by_age[age] * by_length[n]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weights {
    /// `[poolings][length]`.
    pub(crate) by_age: Vec<Vec<f32>>,
    /// `[poolings][length + 1]`.
    pub(crate) by_length: Vec<Vec<f32>>,
}

/// What the events' rows are multiplied by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factors<'a> {
    /// `[buckets, 1]`.
    pub(crate) table: &'a Tensor,
    /// For each event its row of the table.
    pub(crate) buckets: &'a Arc<[u32]>,
}

/// Pools the rows of `table` `[rows, d]` that each history names: `[histories, poolings * d]`.
pub(crate) fn pool(
    tape: &Tape,
    table: &Tensor,
    histories: &Histories,
    weights: &Arc<Weights>,
    factors: Option<Factors<'_>>,
) -> Result<Tensor> {
    let op = Pool {
        histories: histories.clone(),
        weights: weights.clone(),
        buckets: factors.map_or_else(Arc::default, |factors| factors.buckets.clone()),
    };
    match factors {
        Some(factors) => tape.apply2(table, factors.table, op),
        None => tape.apply1(table, op),
    }
}

struct Pool {
    histories: Histories,
    weights: Arc<Weights>,
    buckets: Arc<[u32]>,
}

impl Pool {
    fn forward(&self, table: &[f32], factors: Option<&[f32]>, width: usize) -> (CpuStorage, Shape) {
        let (bags, pools) = (self.histories.ends.len(), self.weights.by_age.len());
        let mut out = vec![0.0; bags * pools * width];
        gather(self, table, factors, width, &mut out);
        (CpuStorage::F32(out), (bags, pools * width).into())
    }
}

impl CustomOp1 for Pool {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn cpu_fwd(&self, table: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        Ok(self.forward(values(table, layout)?, None, width))
    }

    fn bwd(&self, table: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, width) = table.dims2()?;
        let mut grad_table = vec![0.0; table.elem_count()];
        read(grad, |grad| {
            scatter(self, grad, None, &[], width, &mut grad_table, &mut []);
        })?;
        Ok(Some(tensor(grad_table, table)?))
    }
}

impl CustomOp2 for Pool {
    fn name(&self) -> &'static str {
        "pool-weighted"
    }

    fn cpu_fwd(
        &self,
        table: &CpuStorage,
        table_layout: &Layout,
        factors: &CpuStorage,
        factors_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = table_layout.shape().dims2()?;
        let factors = values(factors, factors_layout)?;
        Ok(self.forward(values(table, table_layout)?, Some(factors), width))
    }

    fn bwd(
        &self,
        table: &Tensor,
        factors: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (_, width) = table.dims2()?;
        let mut grad_table = vec![0.0; table.elem_count()];
        let mut grad_factors = vec![0.0; factors.elem_count()];
        read(table, |table| {
            read(factors, |factors| {
                read(grad, |grad| {
                    let (grad_table, grad_factors) = (&mut grad_table, &mut grad_factors);
                    scatter(
                        self,
                        grad,
                        Some(factors),
                        table,
                        width,
                        grad_table,
                        grad_factors,
                    );
                })
            })
        })???;
        let grad_factors = tensor(grad_factors, factors)?;
        Ok((Some(tensor(grad_table, table)?), Some(grad_factors)))
    }
}

vectorized! {
    fn gather(pool: &Pool, table: &[f32], factors: Option<&[f32]>, width: usize, out: &mut [f32]) {
        let pools = pool.weights.by_age.len();
        let mut start = 0;
        for (&end, out) in pool.histories.ends.iter().zip(out.chunks_exact_mut(pools * width)) {
            let length = end as usize - start;
            for age in 0..length {
                let event = end as usize - 1 - age;
                let row = &table[pool.histories.rows[event] as usize * width..][..width];
                let factor = factors.map_or(1.0, |factors| factors[pool.buckets[event] as usize]);
                for (at, out) in out.chunks_exact_mut(width).enumerate() {
                    let weight = pool.weights.by_age[at][age];
                    if weight != 0.0 {
                        let weight = weight * pool.weights.by_length[at][length] * factor;
                        for (out, x) in out.iter_mut().zip(row) {
                            *out += weight * x;
                        }
                    }
                }
            }
            start = end as usize;
        }
    }
}

vectorized! {
    fn scatter(
        pool: &Pool,
        grad: &[f32],
        factors: Option<&[f32]>,
        table: &[f32],
        width: usize,
        grad_table: &mut [f32],
        grad_factors: &mut [f32],
    ) {
        let pools = pool.weights.by_age.len();
        let mut pull = vec![0.0_f32; width];
        let mut start = 0;
        for (&end, grad) in pool.histories.ends.iter().zip(grad.chunks_exact(pools * width)) {
            let length = end as usize - start;
            for age in 0..length {
                let event = end as usize - 1 - age;
                let row = pool.histories.rows[event] as usize * width;
                pull.fill(0.0);
                for (at, grad) in grad.chunks_exact(width).enumerate() {
                    let weight = pool.weights.by_age[at][age];
                    if weight != 0.0 {
                        let weight = weight * pool.weights.by_length[at][length];
                        for (pull, x) in pull.iter_mut().zip(grad) {
                            *pull += weight * x;
                        }
                    }
                }
                let mut factor = 1.0;
                if let Some(factors) = factors {
                    let bucket = pool.buckets[event] as usize;
                    factor = factors[bucket];
                    grad_factors[bucket] += dot(&pull, &table[row..][..width]);
                }
                for (grad, x) in grad_table[row..][..width].iter_mut().zip(&pull) {
                    *grad += factor * x;
                }
            }
            start = end as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::kernels::gradient::{check, random};

    fn weights() -> Arc<Weights> {
        Arc::new(Weights {
            by_age: vec![
                vec![1.0; 4],
                vec![1.0, 0.5, 0.25, 0.125],
                vec![0.0, 1.0, 0.0, 0.0],
            ],
            by_length: vec![
                vec![0.0, 1.0, 0.5, 1.0 / 3.0, 0.25],
                vec![1.0; 5],
                vec![2.0; 5],
            ],
        })
    }

    fn histories() -> Histories {
        Histories {
            rows: vec![1, 5, 5, 0, 2, 3].into(),
            ends: vec![1, 1, 5, 6].into(),
        }
    }

    #[test]
    fn the_backward_agrees_with_differences() {
        let inputs = [random(&[6, 19], 1), random(&[3, 1], 2)];
        check(&inputs[..1], |tape, inputs| {
            pool(tape, &inputs[0], &histories(), &weights(), None)
        });
        let buckets: Arc<[u32]> = vec![0, 2, 1, 1, 2, 0].into();
        check(&inputs, |tape, inputs| {
            let factors = Factors {
                table: &inputs[1],
                buckets: &buckets,
            };
            pool(tape, &inputs[0], &histories(), &weights(), Some(factors))
        });
    }

    #[test]
    fn each_event_weighs_by_its_age_and_the_length_of_its_history() {
        let table = Tensor::new(&[[1.0_f32], [10.0], [100.0]], &candle_core::Device::Cpu).unwrap();
        let histories = Histories {
            rows: vec![2, 1, 0].into(),
            ends: vec![0, 2, 3].into(),
        };
        let out = pool(&Tape::off(), &table, &histories, &weights(), None).unwrap();
        let expected = [[0.0, 0.0, 0.0], [55.0, 60.0, 200.0], [1.0, 1.0, 0.0]];
        assert_eq!(out.to_vec2::<f32>().unwrap(), expected);
    }
}
