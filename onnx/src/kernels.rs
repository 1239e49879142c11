//! The trainer's fused operations on the CPU, each with a hand-written backward.
//!
//! They are candle's custom operations over candle's tensors; [`tape`] keeps the graph and walks it. Every operation is
//! single-threaded (the batch is sharded over threads, see [`crate::train`]) and works on contiguous f32 rows.

pub(crate) mod adamw;
pub(crate) mod add;
pub(crate) mod attention;
pub(crate) mod bag;
pub(crate) mod best_sampled_softmax;
pub(crate) mod bf16;
pub(crate) mod concat;
pub(crate) mod dropout;
pub(crate) mod full_softmax;
pub(crate) mod gate;
pub(crate) mod heads;
pub(crate) mod history_attention;
pub(crate) mod kept;
pub(crate) mod label_aware;
pub(crate) mod layer_norm;
pub(crate) mod linear;
pub(crate) mod matmul;
pub(crate) mod pool;
pub(crate) mod products;
pub(crate) mod relu;
pub(crate) mod routing;
pub(crate) mod sampled_softmax;
pub(crate) mod shared_softmax;
pub(crate) mod simd;
pub(crate) mod swiglu;
pub(crate) mod tape;
pub(crate) mod tile;

#[cfg(test)]
pub(crate) mod gradient;

use candle_core::{CpuStorage, DType, Error, Layout, Result, Storage, Tensor};

/// The contiguous f32 values behind an operation's argument.
pub(crate) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) = layout.contiguous_offsets().ok_or_else(|| {
        Error::Msg(format!(
            "a kernel got a strided tensor {:?}",
            layout.shape()
        ))
    })?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// Hands a tensor's values to `with`.
pub(crate) fn read<R>(tensor: &Tensor, with: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(with(values(storage, layout)?)),
        _ => Err(Error::Msg("the kernels run on the CPU".into())),
    }
}

/// A tensor shaped like `like`.
pub(crate) fn tensor(values: Vec<f32>, like: &Tensor) -> Result<Tensor> {
    debug_assert_eq!(like.dtype(), DType::F32);
    Tensor::from_vec(values, like.shape(), like.device())
}
