//! Fills tensors of users up to a batch size.

use crate::features::tensors::{Data, Tensor, UserTensors};

impl UserTensors {
    /// Appends unknown users without a history, as [`batch`](UserTensors::batch) does, until there are `rows` rows.
    ///
    /// `tensors` are in the order of the signature's inputs, and of its types and shapes.
    pub(crate) fn pad(&self, tensors: &mut [Tensor], rows: usize) {
        let found = tensors.first().map_or(rows, |tensor| tensor.shape[0]);
        let padding = self.batch(&[], rows.saturating_sub(found));
        for (tensor, padding) in tensors.iter_mut().zip(padding.tensors) {
            tensor.shape[0] += padding.shape[0];
            tensor.data.append(&padding.data);
        }
    }
}

impl Data {
    fn append(&mut self, other: &Self) {
        match other {
            Self::F32(values) => self.extend(values),
            _ => (0..other.len()).for_each(|at| self.push(other.number(at))),
        }
    }
}
