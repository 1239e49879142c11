//! From tensors of a model to the wire.

use encoder::{
    session::{Output, TensorSpec},
    signature::Dtype,
};
use proto::inference::{
    model_infer_response::InferOutputTensor, model_metadata_response::TensorMetadata,
};

/// The axis of any length.
const ANY: i64 = -1;

/// What a tensor is like.
pub(super) fn metadata(spec: &TensorSpec) -> TensorMetadata {
    let axes = spec.shape.iter();
    TensorMetadata {
        name: spec.name.clone(),
        datatype: datatype(spec.dtype).to_owned(),
        shape: axes
            .map(|axis| axis.map_or(ANY, |axis| axis as i64))
            .collect(),
    }
}

/// An output, without its elements.
pub(super) fn output(output: &Output) -> InferOutputTensor {
    InferOutputTensor {
        name: output.name.clone(),
        datatype: datatype(Dtype::F32).to_owned(),
        shape: output.shape.iter().map(|axis| *axis as i64).collect(),
        ..InferOutputTensor::default()
    }
}

/// The elements of an output, little-endian.
pub(super) fn raw<T: From<Vec<u8>>>(output: &Output) -> T {
    let elements = output.values.iter();
    let bytes: Vec<u8> = elements.flat_map(|value| value.to_le_bytes()).collect();
    bytes.into()
}

/// The protocol's name of an element type.
pub(super) fn datatype(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::I64 => "INT64",
        Dtype::I32 => "INT32",
        Dtype::F32 => "FP32",
        Dtype::Bool => "BOOL",
    }
}
