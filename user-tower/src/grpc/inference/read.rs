//! From the wire to tensors, or the list of what is wrong with them.
//!
//! What a model takes is for the model to say; here the request must only agree with itself.

use encoder::{
    features::tensors::{Data, Tensor},
    session::{NamedTensor, TensorSpec},
    signature::Dtype,
};
use proto::inference::{
    InferTensorContents,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
};

use crate::{
    error::Error,
    grpc::{inference::write::datatype, read::Problems},
};

/// The most inputs of one call.
const INPUTS_LIMIT: usize = 64;
/// The most axes of a tensor.
const RANK_LIMIT: usize = 8;
/// The most bytes of a tensor's name.
const NAME_BYTES: usize = 256;
/// The element types that a model may take.
const DTYPES: [Dtype; 4] = [Dtype::I64, Dtype::I32, Dtype::F32, Dtype::Bool];

/// Reads the outputs that are wanted, as their places among those that the model gives; all, if none is named.
pub(super) fn outputs(
    asked: &[InferRequestedOutputTensor],
    gives: &[TensorSpec],
) -> Result<Vec<usize>, Error> {
    if asked.is_empty() {
        return Ok((0..gives.len()).collect());
    }
    let mut problems = Problems::default();
    let mut places = Vec::with_capacity(gives.len());
    for (i, output) in asked.iter().enumerate() {
        let field = || format!("outputs[{i}].name");
        problems.text(field, &output.name, 1, NAME_BYTES);
        match gives.iter().position(|spec| spec.name == output.name) {
            Some(place) if places.contains(&place) => {
                problems.add(
                    field(),
                    format!("is {:?}, which is there twice", output.name),
                );
            }
            Some(place) => places.push(place),
            None => {
                let names: Vec<&str> = gives.iter().map(|spec| spec.name.as_str()).collect();
                let shown: String = output.name.chars().take(NAME_BYTES).collect();
                problems.add(field(), format!("is {shown:?}, the model gives {names:?}"));
            }
        }
    }
    problems.finish()?;
    Ok(places)
}

/// Reads the inputs, whose elements are all `raw` or all with them.
pub(super) fn tensors<B: AsRef<[u8]>>(
    inputs: Vec<InferInputTensor>,
    raw: &[B],
) -> Result<Vec<NamedTensor>, Error> {
    let mut problems = Problems::default();
    problems.at_most("inputs", inputs.len(), INPUTS_LIMIT, "tensors");
    if !raw.is_empty() && raw.len() != inputs.len() {
        let (found, expected) = (raw.len(), inputs.len());
        let description = format!("has {found} contents, inputs has {expected} tensors");
        problems.add("raw_input_contents".to_owned(), description);
    }
    problems.finish()?;
    let mut tensors = Vec::with_capacity(inputs.len());
    for (i, input) in inputs.into_iter().enumerate() {
        let raw = raw.get(i).map(AsRef::as_ref);
        tensors.extend(tensor(&mut problems, i, input, raw));
    }
    problems.finish()?;
    Ok(tensors)
}

fn tensor(
    problems: &mut Problems,
    i: usize,
    input: InferInputTensor,
    raw: Option<&[u8]>,
) -> Option<NamedTensor> {
    let path = format!("inputs[{i}]");
    problems.text(|| format!("{path}.name"), &input.name, 1, NAME_BYTES);
    let shape = shape(problems, &path, &input.shape);
    let dtype = dtype(problems, &path, &input.datatype);
    let (shape, dtype) = (shape?, dtype?);
    let data = match (raw, input.contents) {
        (Some(_), Some(contents)) if contents != InferTensorContents::default() => {
            let description = "has elements, but raw_input_contents has them too".to_owned();
            Err((format!("{path}.contents"), description))
        }
        (Some(raw), _) => {
            from_raw(dtype, raw, &shape).map_err(|what| (format!("raw_input_contents[{i}]"), what))
        }
        (None, contents) => from_typed(dtype, contents.unwrap_or_default(), &shape)
            .map_err(|what| (format!("{path}.contents"), what)),
    };
    match data {
        Ok(data) => Some(NamedTensor {
            name: input.name,
            tensor: Tensor { shape, data },
        }),
        Err((field, description)) => {
            problems.add(field, description);
            None
        }
    }
}

/// Reads axes whose product is a number of elements.
fn shape(problems: &mut Problems, path: &str, axes: &[i64]) -> Option<Vec<usize>> {
    let field = format!("{path}.shape");
    if axes.len() > RANK_LIMIT {
        problems.at_most(&field, axes.len(), RANK_LIMIT, "axes");
        return None;
    }
    let read = axes.iter().map(|axis| usize::try_from(*axis).ok());
    let read: Option<Vec<usize>> = read.collect();
    let bounded = read.filter(|axes| {
        let mut axes = axes.iter();
        axes.try_fold(1_usize, |size, axis| size.checked_mul(*axis))
            .is_some_and(|size| size <= u32::MAX as usize)
    });
    if bounded.is_none() {
        let description = format!("is {axes:?}, must be the lengths of a tensor's axes");
        problems.add(field, description);
    }
    bounded
}

fn dtype(problems: &mut Problems, path: &str, name: &str) -> Option<Dtype> {
    let known = DTYPES.into_iter().find(|dtype| datatype(*dtype) == name);
    if known.is_none() {
        let shown: String = name.chars().take(NAME_BYTES).collect();
        let names = DTYPES.map(datatype);
        let description = format!("is {shown:?}, must be one of {names:?}");
        problems.add(format!("{path}.datatype"), description);
    }
    known
}

/// Reads little-endian elements.
fn from_raw(dtype: Dtype, raw: &[u8], shape: &[usize]) -> Result<Data, String> {
    let size = match dtype {
        Dtype::I64 => size_of::<i64>(),
        Dtype::I32 | Dtype::F32 => size_of::<i32>(),
        Dtype::Bool => size_of::<u8>(),
    };
    let (found, expected) = (raw.len(), shape.iter().product::<usize>() * size);
    if found != expected {
        let name = datatype(dtype);
        return Err(format!(
            "has {found} bytes, shape {shape:?} of {name} takes {expected}"
        ));
    }
    Ok(match dtype {
        Dtype::I64 => Data::I64(elements(raw, i64::from_le_bytes)),
        Dtype::I32 => Data::I32(elements(raw, i32::from_le_bytes)),
        Dtype::F32 => Data::F32(elements(raw, f32::from_le_bytes)),
        Dtype::Bool => {
            if let Some(at) = raw.iter().position(|byte| *byte > 1) {
                return Err(format!("byte {at} is {}, must be 0 or 1", raw[at]));
            }
            Data::Bool(raw.iter().map(|byte| *byte == 1).collect())
        }
    })
}

fn elements<T, const N: usize>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = raw.as_chunks::<N>();
    chunks.iter().map(|chunk| read(*chunk)).collect()
}

/// Reads elements out of the field of their type; the others must be empty.
fn from_typed(
    dtype: Dtype,
    mut contents: InferTensorContents,
    shape: &[usize],
) -> Result<Data, String> {
    let data = match dtype {
        Dtype::I64 => Data::I64(std::mem::take(&mut contents.int64_contents)),
        Dtype::I32 => Data::I32(std::mem::take(&mut contents.int_contents)),
        Dtype::F32 => Data::F32(std::mem::take(&mut contents.fp32_contents)),
        Dtype::Bool => Data::Bool(std::mem::take(&mut contents.bool_contents)),
    };
    let name = datatype(dtype);
    if contents != InferTensorContents::default() {
        return Err(format!("has elements of other types than {name}"));
    }
    let (found, expected) = (data.len(), shape.iter().product::<usize>());
    if found != expected {
        return Err(format!(
            "has {found} elements, shape {shape:?} of {name} takes {expected}"
        ));
    }
    Ok(data)
}

#[cfg(test)]
mod tests;
