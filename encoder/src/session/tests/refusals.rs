//! Models that are not what the signature says.

use super::*;

#[test]
fn a_model_without_the_inputs_of_the_signature_is_refused() {
    let renamed = refusal(|model| {
        let graph = model.graph.as_mut().unwrap();
        graph.input[0].name = "clicks".to_owned();
        graph.node[0].input[1] = "clicks".to_owned();
    });
    assert!(
        renamed.contains("no input `history`, it has `clicks`"),
        "{renamed}"
    );
    assert!(
        renamed.contains("nothing feeds the model's input `clicks`"),
        "{renamed}"
    );
}

/// Changes the signature, seals it again, and returns what opening the user tower says.
fn mismatch(from: &str, to: &str) -> String {
    let (dir, ..) = sample();
    let path = dir.path().join(SIGNATURE);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    artifact::seal(dir.path(), "test").unwrap();
    let artifact = Artifact::open(dir.path()).unwrap();
    UserEncoder::open(&artifact, 1).unwrap_err().to_string()
}

#[test]
fn a_model_of_another_type_dimension_or_output_is_refused() {
    let dtype = mismatch(
        "\"dtype\": \"i64\",\n        \"encoding\": {\n          \"vocabulary\": {\n            \"file\": \"vocabulary/item.id.txt\",\n            \"padding\": 0,\n            \"unknown\": 1\n          }\n        },\n        \"name\": \"history\"",
        "\"dtype\": \"i32\",\n        \"encoding\": {\n          \"vocabulary\": {\n            \"file\": \"vocabulary/item.id.txt\",\n            \"padding\": 0,\n            \"unknown\": 1\n          }\n        },\n        \"name\": \"history\"",
    );
    assert!(dtype.contains("input `history` holds"), "{dtype}");
    let dim = mismatch("\"dim\": 8", "\"dim\": 9");
    assert!(
        dim.contains("output `user` is [?, 8], it must be [batch, 1, 9] or [batch, 9]"),
        "{dim}"
    );
    let output = mismatch("\"name\": \"user\"", "\"name\": \"vector\"");
    assert!(
        output.contains("no output `vector`, it has `user`"),
        "{output}"
    );
}

#[test]
fn a_batch_that_is_not_dynamic_is_refused() {
    let fixed = refusal(|model| {
        let graph = model.graph.as_mut().unwrap();
        for info in graph.input.iter_mut().chain(&mut graph.output) {
            let shape = info
                .r#type
                .as_mut()
                .unwrap()
                .tensor_type
                .as_mut()
                .unwrap()
                .shape
                .as_mut()
                .unwrap();
            shape.dim[0].value = Some(crate::messages::DimensionValue::DimValue(1));
        }
    });
    assert!(
        fixed.contains("input `history` is [1, 5], the signature says [batch, 5]"),
        "{fixed}"
    );
}

#[test]
fn what_is_no_model_is_refused() {
    let (dir, ..) = sample();
    for bytes in [b"".as_slice(), b"garbage", &[0xff; 1000]] {
        fs::write(dir.path().join(USER_TOWER), bytes).unwrap();
        artifact::seal(dir.path(), "test").unwrap();
        let artifact = Artifact::open(dir.path()).unwrap();
        let refusal = UserEncoder::open(&artifact, 1).unwrap_err().to_string();
        assert!(
            refusal.contains("user_tower.onnx: it is no ONNX model"),
            "{refusal}"
        );
    }
    let unknown =
        refusal(|model| model.graph.as_mut().unwrap().node[0].op_type = "Gathr".to_owned());
    assert!(
        unknown.contains("ONNX Runtime refuses it") && unknown.contains("Gathr"),
        "{unknown}"
    );
}

#[test]
fn a_tensor_that_claims_more_than_it_holds_is_refused() {
    for dims in [vec![1_i64 << 40, 8], vec![i64::MAX, i64::MAX], vec![-1, 8]] {
        let refusal = refusal(|model| model.graph.as_mut().unwrap().initializer[0].dims = dims);
        assert!(refusal.contains("ONNX Runtime refuses it"), "{refusal}");
    }
}
