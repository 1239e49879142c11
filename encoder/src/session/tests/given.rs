//! Tensors that a caller made, as the model takes them or not.

use super::*;
use crate::{
    error::Misfit,
    features::tensors::{Data, Tensor},
    messages::{
        AttributeProto, AttributeType, DataType, DimensionProto, DimensionValue, NodeProto,
        TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
    },
    signature::Dtype,
};

/// One tensor of whole numbers for the sample's only input.
fn history(rows: usize, ids: &[i64]) -> NamedTensor {
    tensor("history", &[rows, 5], Data::I64(ids.to_vec()))
}

fn tensor(name: &str, shape: &[usize], data: Data) -> NamedTensor {
    NamedTensor {
        name: name.to_owned(),
        tensor: Tensor {
            shape: shape.to_vec(),
            data,
        },
    }
}

/// The tensors that features of `users` become, by their names.
fn coded(
    artifact: &Artifact,
    users: &[User],
    vectors: Option<&dyn ItemVectors>,
) -> Vec<NamedTensor> {
    let made = artifact
        .user_tensors()
        .batch_with(users, users.len(), vectors);
    let inputs = artifact.signature().user.inputs.iter();
    let named = inputs.zip(made.tensors).map(|(input, tensor)| NamedTensor {
        name: input.name.clone(),
        tensor,
    });
    named.collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Expects the sample that reads `reads` to refuse tensors, one line a tensor.
fn check(reads: Reads, tensors: Vec<NamedTensor>, expected: &[(Option<usize>, &str)]) {
    let (_dir, _, artifact) = sample_that(reads);
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    let Err(Error::Tensors { misfits }) = encoder.run_tensors(tensors) else {
        panic!("not refused: {expected:?}");
    };
    let expected = expected.iter().map(|(at, problem)| Misfit {
        at: *at,
        problem: (*problem).to_owned(),
    });
    assert_eq!(misfits, expected.collect::<Vec<_>>());
}

#[test]
fn the_tensors_that_features_become_give_the_bits_of_the_features() {
    for reads in [Reads::Ids, Reads::Ages] {
        let (_dir, _, artifact) = sample_that(reads);
        let encoder = UserEncoder::open(&artifact, 1).unwrap();
        for size in [1, 2, 3, 33, 64] {
            let users: Vec<User> = (0..size).map(|at| user(&[at % 20 + 1, 7, 99])).collect();
            let outputs = encoder.run_tensors(coded(&artifact, &users, None)).unwrap();
            let interests = encoder.encode(&users).unwrap();
            assert_eq!(outputs.len(), 1);
            assert_eq!(outputs[0].name, "user");
            assert_eq!(outputs[0].shape, [size as usize, 8]);
            assert_eq!(bits(&outputs[0].values), bits(&interests.values));
        }
    }
}

#[test]
fn item_vectors_are_tensors_as_any_other() {
    let (_dir, sample, artifact) = sample_that(Reads::Vectors);
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    let rows = Embeddings {
        dim: 8,
        values: [1, 2, 3]
            .iter()
            .flat_map(|item| sample.row(*item))
            .collect(),
    };
    let vectors = Gathered::new(&[1, 2, 3], rows);
    let users = [user(&[3, 2]), user(&[]), user(&[1, 1, 2])];
    let tensors = coded(&artifact, &users, Some(&vectors));
    let outputs = encoder.run_tensors(tensors).unwrap();
    let interests = encoder.encode_with(&users, Some(&vectors)).unwrap();
    assert_eq!(bits(&outputs[0].values), bits(&interests.values));
}

#[test]
fn inputs_may_come_in_any_order() {
    let (_dir, _, artifact) = sample_that(Reads::Ages);
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    let mut tensors = coded(&artifact, &[user(&[3])], None);
    let inputs = encoder.run_tensors(tensors.clone()).unwrap();
    tensors.reverse();
    assert_eq!(encoder.run_tensors(tensors).unwrap(), inputs);
}

#[test]
fn a_model_tells_what_it_takes_and_gives() {
    let (_dir, _, artifact) = sample_that(Reads::Ages);
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    let spec = |name: &str, dtype, axis| TensorSpec {
        name: name.to_owned(),
        dtype,
        shape: vec![None, Some(axis)],
    };
    let takes: Vec<_> = encoder.takes().cloned().collect();
    let expected = [spec("history", Dtype::I64, 5), spec("hours", Dtype::F32, 5)];
    assert_eq!(takes, expected);
    assert_eq!(encoder.gives(), [spec("user", Dtype::F32, 8)]);
}

/// A model that also gives weights, the sum of each vector, and attention, the ids as they came.
fn with_all_outputs() -> (TempDir, Artifact) {
    let (dir, ..) = sample();
    let path = dir.path().join(SIGNATURE);
    let text = fs::read_to_string(&path).unwrap();
    let one = "\"name\": \"user\"";
    let all = format!("\"attention\": \"ids\", {one}, \"weights\": \"sums\"");
    assert!(text.contains(one), "{text}");
    fs::write(&path, text.replacen(one, &all, 1)).unwrap();
    change_model(dir.path(), |model| {
        let graph = model.graph.as_mut().unwrap();
        graph.node.extend([
            node("ReduceSum", &["user", "axis"], "sums", None),
            node("Cast", &["history"], "floats", Some(("to", 1))),
            node("Unsqueeze", &["floats", "axis"], "ids", None),
        ]);
        graph.output.push(output("sums", &[1]));
        graph.output.push(output("ids", &[1, 5]));
    });
    let artifact = Artifact::open(dir.path()).unwrap();
    (dir, artifact)
}

fn node(op: &str, inputs: &[&str], output: &str, setting: Option<(&str, i64)>) -> NodeProto {
    let attribute = setting.map(|(name, i)| AttributeProto {
        name: name.to_owned(),
        i,
        r#type: AttributeType::Int.into(),
        ..AttributeProto::default()
    });
    NodeProto {
        op_type: op.to_owned(),
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute: attribute.into_iter().collect(),
        ..NodeProto::default()
    }
}

fn output(name: &str, axes: &[i64]) -> ValueInfoProto {
    let batch = DimensionValue::DimParam("batch".to_owned());
    let axes = axes.iter().map(|axis| DimensionValue::DimValue(*axis));
    let dim = std::iter::once(batch).chain(axes);
    let dim = dim.map(|value| DimensionProto { value: Some(value) });
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: DataType::Float.into(),
                shape: Some(TensorShapeProto { dim: dim.collect() }),
            }),
        }),
    }
}

#[test]
fn every_promised_output_comes_with_its_name_and_shape() {
    let (_dir, artifact) = with_all_outputs();
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    let ids = [0, 0, 2, 3, 4, 0, 0, 0, 0, 1, 5, 6, 7, 8, 9];
    let outputs = encoder.run_tensors(vec![history(3, &ids)]).unwrap();
    let shapes: Vec<_> = outputs
        .iter()
        .map(|output| (output.name.as_str(), output.shape.clone()))
        .collect();
    let expected = [
        ("user", vec![3, 8]),
        ("sums", vec![3, 1]),
        ("ids", vec![3, 1, 5]),
    ];
    assert_eq!(shapes, expected);
    let sums: Vec<f32> = outputs[0]
        .values
        .chunks(8)
        .map(|row| row.iter().sum())
        .collect();
    close(&outputs[1].values, &sums);
    assert_eq!(outputs[2].values, ids.map(|id| id as f32));
}

#[test]
fn an_id_outside_the_vocabulary_never_reaches_the_model() {
    // 20 items behind two reserved lines.
    for (value, place) in [(-1, 0), (22, 7), (i64::MIN, 9), (i64::MAX, 3)] {
        let mut ids = [0; 10];
        ids[place] = value;
        let problem = format!("element {place} of input `history` is {value}, it must be 0 to 21");
        check(Reads::Ids, vec![history(2, &ids)], &[(Some(0), &problem)]);
    }
    let (_dir, _, artifact) = sample();
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    assert!(
        encoder
            .run_tensors(vec![history(1, &[0, 1, 2, 20, 21])])
            .is_ok()
    );
}

#[test]
fn missing_unknown_and_repeated_inputs_are_all_named() {
    check(Reads::Ids, vec![], &[(None, "input `history` is missing")]);
    check(
        Reads::Ages,
        vec![
            tensor("clicks", &[1], Data::I64(vec![0])),
            history(1, &[0; 5]),
            history(1, &[0; 5]),
        ],
        &[
            (
                Some(0),
                "the model has no input `clicks`, it has `history`, `hours`",
            ),
            (Some(2), "input `history` is there twice"),
            (None, "input `hours` is missing"),
        ],
    );
}

#[test]
fn a_tensor_of_another_type_or_shape_is_refused() {
    let refused = |given: NamedTensor, problem: &str| {
        check(Reads::Ids, vec![given], &[(Some(0), problem)]);
    };
    refused(
        tensor("history", &[1, 5], Data::I32(vec![0; 5])),
        "input `history` holds I32, the signature says I64",
    );
    let is = |shape: &[usize], shown: &str| {
        let elements = shape.iter().product();
        refused(
            tensor("history", shape, Data::I64(vec![0; elements])),
            &format!("input `history` is {shown}, the signature says [batch, 5]"),
        );
    };
    is(&[], "[]");
    is(&[5], "[5]");
    is(&[1, 4], "[1, 4]");
    is(&[1, 5, 1], "[1, 5, 1]");
    refused(
        history(2, &[0; 9]),
        "input `history` holds 9 elements, its shape [2, 5] 10",
    );
}

#[test]
fn a_batch_has_1_to_64_rows() {
    for rows in [0, 65, 1 << 40] {
        let problem = format!("input `history` has {rows} rows, 1 to 64 are allowed");
        check(Reads::Ids, vec![history(rows, &[])], &[(Some(0), &problem)]);
    }
}

#[test]
fn all_inputs_have_as_many_rows() {
    let hours = tensor("hours", &[3, 5], Data::F32(vec![0.0; 15]));
    check(
        Reads::Ages,
        vec![hours, history(2, &[0; 10])],
        &[(Some(0), "input `hours` has 3 rows, input `history` has 2")],
    );
}

#[test]
fn numbers_that_are_none_are_refused_going_in_and_coming_out() {
    let hours = |value: f32| tensor("hours", &[1, 5], Data::F32(vec![value; 5]));
    check(
        Reads::Ages,
        vec![history(1, &[0; 5]), hours(f32::NAN)],
        &[(
            Some(1),
            "element 0 of input `hours` is NaN, it must be finite",
        )],
    );
    let (_dir, _, artifact) = sample_that(Reads::Ages);
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    let overflow = encoder.run_tensors(vec![history(1, &[0; 5]), hours(f32::MAX)]);
    let refusal = overflow.unwrap_err().to_string();
    assert!(refusal.contains("output user of row 0 is inf"), "{refusal}");
}
