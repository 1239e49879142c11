//! Runs the user tower on tensors that a caller made; none reaches native code before it is checked.

mod inputs;

use crate::{
    error::Error,
    features::tensors::Tensor,
    session::{UserEncoder, bucket},
    signature::{Dtype, Input},
};

pub(super) use crate::session::given::inputs::Inputs;

/// What a tensor of a model is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in the ONNX graph.
    pub name: String,
    /// Its element type.
    pub dtype: Dtype,
    /// Its axes; `None` is the batch, at axis 0 only.
    pub shape: Vec<Option<usize>>,
}

/// An input tensor that a caller made.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Its name in the ONNX graph.
    pub name: String,
    /// Its elements, `[batch, ..]`.
    pub tensor: Tensor,
}

/// An output tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name in the ONNX graph.
    pub name: String,
    /// Its axes; the first is the batch.
    pub shape: Vec<usize>,
    /// Its elements, in row-major order.
    pub values: Vec<f32>,
}

impl UserEncoder {
    /// Returns the tensors that the model takes, in the order of the signature.
    pub fn takes(&self) -> impl Iterator<Item = &TensorSpec> {
        self.inputs.specs()
    }

    /// Returns the tensors that the model gives: vectors, then weights and attention if the signature has them.
    pub fn gives(&self) -> &[TensorSpec] {
        &self.pool.gives
    }

    /// Runs the model on the tensors of 1 to 64 users, the last of [`BUCKETS`](crate::session::BUCKETS), in any order.
    ///
    /// Equal tensors of as many rows give the bits of [`encode`](UserEncoder::encode). A model that reads item vectors
    /// takes them as they are. Blocks like [`encode`](UserEncoder::encode).
    ///
    /// # Shapes
    /// - `tensors`: each of [`takes`](UserEncoder::takes) once, all of the same batch
    /// - returns: each of [`gives`](UserEncoder::gives), row `i` for row `i` of the inputs
    ///
    /// # Errors
    /// [`Error::Tensors`] with everything that does not fit: names, types, shapes, ids that features cannot become, and
    /// numbers that are not finite; the model did not run then. [`Error::Run`] if ONNX Runtime fails,
    /// [`Error::NonFinite`] if a number of any row is not finite.
    pub fn run_tensors(&self, tensors: Vec<NamedTensor>) -> Result<Vec<Output>, Error> {
        let mut tensors = self.inputs.arrange(tensors)?;
        let rows = tensors.first().map_or(0, |tensor| tensor.shape[0]);
        self.tensors.pad(&mut tensors, bucket(rows));
        let outputs = self.pool.run_all(&tensors, rows)?;
        let named = self.gives().iter().zip(outputs);
        Ok(named
            .map(|(spec, values)| Output {
                name: spec.name.clone(),
                shape: spec.shape.iter().map(|axis| axis.unwrap_or(rows)).collect(),
                values,
            })
            .collect())
    }
}

impl From<&Input> for TensorSpec {
    fn from(input: &Input) -> Self {
        Self {
            name: input.name.clone(),
            dtype: input.dtype,
            shape: input.shape.clone(),
        }
    }
}
