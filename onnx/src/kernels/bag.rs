//! Sums rows of a table by bags of ids; the backward scatters into the rows that were read.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use crate::kernels::simd::vectorized;
use crate::kernels::tape::Tape;
use crate::kernels::{read, tensor, values};

/// Bags of row ids; bag `i` is `ids[ends[i - 1]..ends[i]]`. Id 0 is padding: it adds nothing and learns nothing.
#[derive(Clone, Debug)]
pub(crate) struct Bags {
    ids: Arc<[u32]>,
    ends: Arc<[u32]>,
}

impl Bags {
    /// Bags of any size; `ends` ascends to `ids.len()`.
    pub(crate) fn ragged(ids: impl Into<Arc<[u32]>>, ends: impl Into<Arc<[u32]>>) -> Self {
        let (ids, ends) = (ids.into(), ends.into());
        assert_eq!(
            ends.last().copied().unwrap_or(0) as usize,
            ids.len(),
            "bags cover their ids"
        );
        Self { ids, ends }
    }

    /// One id a bag: a plain gather.
    pub(crate) fn single(ids: impl Into<Arc<[u32]>>) -> Self {
        let ids = ids.into();
        let ends = (1..=ids.len() as u32).collect::<Vec<_>>();
        Self::ragged(ids, ends)
    }

    /// Bags of `size` ids each, padded with 0.
    pub(crate) fn padded(ids: impl Into<Arc<[u32]>>, size: usize) -> Self {
        let ids = ids.into();
        let ends = (1..=ids.len() / size)
            .map(|bag| (bag * size) as u32)
            .collect::<Vec<_>>();
        Self::ragged(ids, ends)
    }

    /// How many bags.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The ids of each bag.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(&0).chain(&*self.ends);
        let bags = starts.zip(&*self.ends);
        bags.map(|(&start, &end)| &self.ids[start as usize..end as usize])
    }
}

/// Row `i` of the result is the sum of the rows of `table` `[rows, d]` that bag `i` names: `[bags, d]`.
pub(crate) fn bag_sum(tape: &Tape, table: &Tensor, bags: &Bags) -> Result<Tensor> {
    tape.apply1(table, BagSum(bags.clone()))
}

/// Adds to row `i` of `base` `[bags, d]` the sum of the rows of `table` that bag `i` names.
pub(crate) fn add_bags(tape: &Tape, base: &Tensor, table: &Tensor, bags: &Bags) -> Result<Tensor> {
    tape.apply2(base, table, BagSum(bags.clone()))
}

struct BagSum(Bags);

impl BagSum {
    fn backward(&self, table: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let width = table.dim(1)?;
        let mut out = vec![0.0; table.elem_count()];
        read(grad, |grad| {
            scatter(grad, &self.0.ids, &self.0.ends, width, &mut out)
        })?;
        Ok(Some(tensor(out, table)?))
    }
}

impl CustomOp1 for BagSum {
    fn name(&self) -> &'static str {
        "bag-sum"
    }

    fn cpu_fwd(&self, table: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let mut out = vec![0.0; self.0.len() * width];
        gather(
            values(table, layout)?,
            &self.0.ids,
            &self.0.ends,
            width,
            &mut out,
        );
        Ok((CpuStorage::F32(out), (self.0.len(), width).into()))
    }

    fn bwd(&self, table: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        self.backward(table, grad)
    }
}

impl CustomOp2 for BagSum {
    fn name(&self) -> &'static str {
        "add-bags"
    }

    fn cpu_fwd(
        &self,
        base: &CpuStorage,
        base_layout: &Layout,
        table: &CpuStorage,
        table_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = table_layout.shape().dims2()?;
        let mut out = values(base, base_layout)?.to_vec();
        gather(
            values(table, table_layout)?,
            &self.0.ids,
            &self.0.ends,
            width,
            &mut out,
        );
        Ok((CpuStorage::F32(out), (self.0.len(), width).into()))
    }

    fn bwd(
        &self,
        _base: &Tensor,
        table: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let of_table = self.backward(table, grad)?;
        Ok((Some(grad.clone()), of_table))
    }
}

vectorized! {
    fn gather(table: &[f32], ids: &[u32], ends: &[u32], width: usize, out: &mut [f32]) {
        let mut start = 0;
        for (&end, out) in ends.iter().zip(out.chunks_exact_mut(width)) {
            for &id in ids[start..end as usize].iter().filter(|&&id| id != 0) {
                let row = &table[id as usize * width..][..width];
                for (out, x) in out.iter_mut().zip(row) {
                    *out += x;
                }
            }
            start = end as usize;
        }
    }
}

vectorized! {
    fn scatter(grad: &[f32], ids: &[u32], ends: &[u32], width: usize, table: &mut [f32]) {
        let mut start = 0;
        for (&end, grad) in ends.iter().zip(grad.chunks_exact(width)) {
            for &id in ids[start..end as usize].iter().filter(|&&id| id != 0) {
                let row = &mut table[id as usize * width..][..width];
                for (row, x) in row.iter_mut().zip(grad) {
                    *row += x;
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

    #[test]
    fn the_backward_agrees_with_differences() {
        let table = [random(&[6, 4], 1)];
        let bags = Bags::ragged(vec![1, 5, 5, 0, 2], vec![2, 2, 5]);
        check(&table, |tape, table| bag_sum(tape, &table[0], &bags));
        check(&table, |tape, table| {
            bag_sum(tape, &table[0], &Bags::single(vec![3, 0, 3]))
        });
        check(&table, |tape, table| {
            bag_sum(tape, &table[0], &Bags::padded(vec![3, 0, 1, 2], 2))
        });
        let inputs = [random(&[3, 4], 2), table[0].clone()];
        check(&inputs, |tape, inputs| {
            add_bags(tape, &inputs[0], &inputs[1], &bags)
        });
    }

    #[test]
    fn padding_and_empty_bags_are_zero_rows() {
        let bags = Bags::ragged(vec![0, 0], vec![2, 2]);
        let out = bag_sum(&Tape::off(), &random(&[3, 2], 1), &bags)
            .unwrap()
            .to_vec2::<f32>()
            .unwrap();
        assert_eq!(out, [[0.0, 0.0], [0.0, 0.0]]);
    }
}
