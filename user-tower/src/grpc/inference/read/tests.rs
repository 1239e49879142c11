//! Behaviours of requests that do not agree with themselves.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

const NO_RAW: [&[u8]; 0] = [];

fn input(datatype: &str, shape: &[i64], contents: Option<InferTensorContents>) -> InferInputTensor {
    InferInputTensor {
        name: "x".to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        contents,
        ..InferInputTensor::default()
    }
}

fn longs(elements: &[i64]) -> InferTensorContents {
    InferTensorContents {
        int64_contents: elements.to_vec(),
        ..InferTensorContents::default()
    }
}

/// Expects one tensor to be read alike from raw and from typed contents.
fn check_read(datatype: &str, raw: &[u8], typed: InferTensorContents, expected: &Data) {
    let shape = [expected.len() as i64];
    let from_raw = tensors(vec![input(datatype, &shape, None)], &[raw]).unwrap();
    let from_typed = tensors(vec![input(datatype, &shape, Some(typed))], &NO_RAW).unwrap();
    assert_eq!(from_raw, from_typed);
    assert_eq!(from_raw[0].tensor.shape, [expected.len()]);
    assert_eq!(from_raw[0].tensor.data, *expected);
}

/// Expects a request to be refused for `field` alone.
fn check<T: std::fmt::Debug>(found: Result<T, Error>, field: &str, description: &str) {
    let Error::Fields(violations) = found.unwrap_err() else {
        panic!("{field} is not refused");
    };
    assert_eq!(violations, [(field.to_owned(), description.to_owned())]);
}

#[test]
fn every_element_type_is_read_from_raw_and_from_typed_contents() {
    let raw = [(-2_i64).to_le_bytes(), i64::MAX.to_le_bytes()].concat();
    let expected = Data::I64(vec![-2, i64::MAX]);
    check_read("INT64", &raw, longs(&[-2, i64::MAX]), &expected);
    let typed = InferTensorContents {
        int_contents: vec![-7],
        ..InferTensorContents::default()
    };
    check_read(
        "INT32",
        &(-7_i32).to_le_bytes(),
        typed,
        &Data::I32(vec![-7]),
    );
    let typed = InferTensorContents {
        fp32_contents: vec![1.5],
        ..InferTensorContents::default()
    };
    check_read("FP32", &1.5_f32.to_le_bytes(), typed, &Data::F32(vec![1.5]));
    let typed = InferTensorContents {
        bool_contents: vec![true, false],
        ..InferTensorContents::default()
    };
    check_read("BOOL", &[1, 0], typed, &Data::Bool(vec![true, false]));
}

#[test]
fn elements_are_raw_or_typed_never_both() {
    let one = [7_i64.to_le_bytes()];
    let both = vec![input("INT64", &[1], Some(longs(&[7])))];
    check(
        tensors(both, &one),
        "inputs[0].contents",
        "has elements, but raw_input_contents has them too",
    );
    let empty = InferTensorContents::default();
    assert!(tensors(vec![input("INT64", &[1], Some(empty))], &one).is_ok());
}

#[test]
fn there_are_as_many_raw_contents_as_inputs() {
    let inputs = vec![input("INT64", &[1], None); 2];
    check(
        tensors(inputs, &[7_i64.to_le_bytes()]),
        "raw_input_contents",
        "has 1 contents, inputs has 2 tensors",
    );
}

#[test]
fn elements_are_as_many_as_the_shape_takes() {
    check(
        tensors(vec![input("INT64", &[1, 2], None)], &[[0_u8; 15]]),
        "raw_input_contents[0]",
        "has 15 bytes, shape [1, 2] of INT64 takes 16",
    );
    let short = vec![input("INT64", &[1, 2], Some(longs(&[7])))];
    check(
        tensors(short, &NO_RAW),
        "inputs[0].contents",
        "has 1 elements, shape [1, 2] of INT64 takes 2",
    );
    check(
        tensors(vec![input("FP32", &[1], None)], &NO_RAW),
        "inputs[0].contents",
        "has 0 elements, shape [1] of FP32 takes 1",
    );
}

#[test]
fn elements_stand_in_the_field_of_their_type() {
    check(
        tensors(vec![input("INT32", &[1], Some(longs(&[7])))], &NO_RAW),
        "inputs[0].contents",
        "has elements of other types than INT32",
    );
    check(
        tensors(vec![input("BOOL", &[2], None)], &[[1_u8, 2]]),
        "raw_input_contents[0]",
        "byte 1 is 2, must be 0 or 1",
    );
}

#[test]
fn a_type_that_no_model_takes_is_refused() {
    check(
        tensors(vec![input("BYTES", &[1], None)], &NO_RAW),
        "inputs[0].datatype",
        "is \"BYTES\", must be one of [\"INT64\", \"INT32\", \"FP32\", \"BOOL\"]",
    );
}

#[test]
fn axes_that_no_tensor_has_are_refused() {
    for shape in [&[-1, 5][..], &[i64::MAX, i64::MAX], &[1 << 31, 2]] {
        check(
            tensors(vec![input("INT64", shape, None)], &NO_RAW),
            "inputs[0].shape",
            &format!("is {shape:?}, must be the lengths of a tensor's axes"),
        );
    }
    check(
        tensors(vec![input("INT64", &[1; 9], None)], &NO_RAW),
        "inputs[0].shape",
        "has 9 axes, at most 8 are allowed",
    );
}

#[test]
fn tensors_at_their_limits_are_read_and_one_over_them_is_refused() {
    let one = [7_i64.to_le_bytes()];
    let inputs = vec![input("INT64", &[1], None); 64];
    assert_eq!(tensors(inputs, &[one[0]; 64]).unwrap().len(), 64);
    let deep = vec![input("INT64", &[1; 8], None)];
    assert_eq!(tensors(deep, &one).unwrap()[0].tensor.shape, [1; 8]);
    let named = |bytes| {
        let mut named = input("INT64", &[1], None);
        named.name = "x".repeat(bytes);
        tensors(vec![named], &one)
    };
    assert!(named(256).is_ok());
    check(
        named(257),
        "inputs[0].name",
        "has 257 bytes, at most 256 are allowed",
    );
}

#[test]
fn too_many_inputs_are_refused_at_once() {
    check(
        tensors(vec![input("FP16", &[1], None); 65], &NO_RAW),
        "inputs",
        "has 65 tensors, at most 64 are allowed",
    );
}

#[test]
fn outputs_come_as_asked_or_all() {
    let gives = ["user", "weights"].map(|name| TensorSpec {
        name: name.to_owned(),
        dtype: Dtype::F32,
        shape: vec![None],
    });
    let asked = |names: &[&str]| {
        let output = |name: &&str| InferRequestedOutputTensor {
            name: (*name).to_owned(),
            ..InferRequestedOutputTensor::default()
        };
        let asked: Vec<_> = names.iter().map(output).collect();
        outputs(&asked, &gives)
    };
    assert_eq!(asked(&[]).unwrap(), [0, 1]);
    assert_eq!(asked(&["weights", "user"]).unwrap(), [1, 0]);
    check(
        asked(&["user", "item"]),
        "outputs[1].name",
        "is \"item\", the model gives [\"user\", \"weights\"]",
    );
    check(
        asked(&["user", "user"]),
        "outputs[1].name",
        "is \"user\", which is there twice",
    );
}
