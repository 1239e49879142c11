//! Tensors to and from their protobuf message.

use crate::{
    features::tensors::{Data, Tensor},
    messages::{DataType, TensorProto},
};

impl TensorProto {
    /// Makes a tensor of floats.
    pub fn f32s(name: &str, dims: &[usize], values: &[f32]) -> Self {
        Self::new(
            name,
            dims,
            DataType::Float,
            values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        )
    }

    /// Makes a tensor of 64-bit integers.
    pub fn i64s(name: &str, dims: &[usize], values: &[i64]) -> Self {
        Self::new(
            name,
            dims,
            DataType::Int64,
            values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        )
    }

    /// Makes a tensor of 32-bit integers.
    pub fn i32s(name: &str, dims: &[usize], values: &[i32]) -> Self {
        Self::new(
            name,
            dims,
            DataType::Int32,
            values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        )
    }

    /// Makes a tensor of truth values.
    pub fn bools(name: &str, dims: &[usize], values: &[bool]) -> Self {
        Self::new(
            name,
            dims,
            DataType::Bool,
            values.iter().map(|v| u8::from(*v)).collect(),
        )
    }

    fn new(name: &str, dims: &[usize], data_type: DataType, raw_data: Vec<u8>) -> Self {
        Self {
            name: name.to_owned(),
            dims: dims.iter().map(|dim| *dim as i64).collect(),
            data_type: data_type.into(),
            raw_data: raw_data.into(),
            ..Self::default()
        }
    }
}

impl From<&Tensor> for TensorProto {
    fn from(tensor: &Tensor) -> Self {
        match &tensor.data {
            Data::I64(values) => Self::i64s("", &tensor.shape, values),
            Data::I32(values) => Self::i32s("", &tensor.shape, values),
            Data::F32(values) => Self::f32s("", &tensor.shape, values),
            Data::Bool(values) => Self::bools("", &tensor.shape, values),
        }
    }
}

impl TryFrom<&TensorProto> for Tensor {
    type Error = String;

    /// Reads the elements from wherever the message keeps them.
    fn try_from(proto: &TensorProto) -> Result<Self, Self::Error> {
        let shape: Vec<usize> = proto
            .dims
            .iter()
            .map(|dim| usize::try_from(*dim).map_err(|_| format!("axis of length {dim}")))
            .collect::<Result<_, _>>()?;
        if proto.data_location != 0 {
            return Err("its elements are in another file".to_owned());
        }
        let raw = &proto.raw_data;
        let data = match DataType::try_from(proto.data_type) {
            Ok(DataType::Float) => Data::F32(elements(raw, &proto.float_data, f32::from_le_bytes)),
            Ok(DataType::Int64) => Data::I64(elements(raw, &proto.int64_data, i64::from_le_bytes)),
            Ok(DataType::Int32) => Data::I32(elements(raw, &proto.int32_data, i32::from_le_bytes)),
            Ok(DataType::Bool) if raw.is_empty() => {
                Data::Bool(proto.int32_data.iter().map(|v| *v != 0).collect())
            }
            Ok(DataType::Bool) => Data::Bool(raw.iter().map(|v| *v != 0).collect()),
            _ => {
                return Err(format!(
                    "element type {} is none of f32, i64, i32, bool",
                    proto.data_type
                ));
            }
        };
        let expected = shape
            .iter()
            .try_fold(1usize, |product, dim| product.checked_mul(*dim));
        if expected != Some(data.len()) {
            return Err(format!("shape {shape:?}, but {} elements", data.len()));
        }
        Ok(Self { shape, data })
    }
}

fn elements<T: Copy, const N: usize>(
    raw: &[u8],
    plain: &[T],
    read: impl Fn([u8; N]) -> T,
) -> Vec<T> {
    if raw.is_empty() {
        return plain.to_vec();
    }
    let (chunks, _) = raw.as_chunks::<N>();
    chunks.iter().map(|bytes| read(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn every_element_type_survives_the_message() {
        for data in [
            Data::I64(vec![-1, i64::MAX]),
            Data::I32(vec![-1, i32::MAX]),
            Data::F32(vec![-1.5, f32::MAX]),
            Data::Bool(vec![true, false]),
        ] {
            let tensor = Tensor {
                shape: vec![2, 1],
                data,
            };
            assert_eq!(
                Tensor::try_from(&TensorProto::from(&tensor)).unwrap(),
                tensor
            );
        }
    }

    #[test]
    fn a_shape_that_its_elements_do_not_fill_is_refused() {
        let mut proto = TensorProto::f32s("", &[2], &[1.0, 2.0]);
        proto.dims = vec![3];
        assert_eq!(
            Tensor::try_from(&proto).unwrap_err(),
            "shape [3], but 2 elements"
        );
        proto.dims = vec![-1];
        assert_eq!(Tensor::try_from(&proto).unwrap_err(), "axis of length -1");
        proto.dims = vec![i64::MAX, i64::MAX];
        assert!(Tensor::try_from(&proto).is_err());
    }
}
