//! Signatures with one thing wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

use super::*;

fn sample() -> Value {
    json!({
        "format": 1, "metric": "dot", "dim": 4, "interests": 1,
        "history": {"length": 3, "side": "left", "order": "oldest_first"},
        "user": {
            "inputs": [
                {"name": "h", "dtype": "i64", "shape": [null, 3], "source": "history.item",
                 "encoding": {"vocabulary": {"file": "vocabulary/item.id.txt", "unknown": 1, "padding": 0}}},
                {"name": "m", "dtype": "bool", "shape": [null, 3], "source": "history.mask", "encoding": "mask"},
            ],
            "output": {"name": "user"},
        },
        "item": {
            "inputs": [
                {"name": "y", "dtype": "i32", "shape": [null], "source": "item.year",
                 "encoding": {"bucket": {"edges": [1950.0, 2000.0], "offset": 1}}},
            ],
            "output": {"name": "item"},
        },
    })
}

/// Sets one place of the sample to `value` and returns what is found wrong.
fn problems_with(place: &str, value: Value) -> String {
    let mut signature = sample();
    *signature.pointer_mut(place).unwrap() = value;
    match Signature::parse(signature.to_string().as_bytes()) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

fn refused(place: &str, value: Value, words: &str) {
    let found = problems_with(place, value);
    assert!(
        found.contains(words),
        "{place}: {found:?} does not say {words:?}"
    );
}

#[test]
fn a_sound_signature_is_read_and_written_alike() {
    let signature = Signature::parse(sample().to_string().as_bytes()).unwrap();
    let again = serde_json::to_vec(&signature).unwrap();
    assert_eq!(Signature::parse(&again).unwrap(), signature);
}

#[test]
fn unknown_fields_and_sources_are_refused() {
    refused(
        "/history",
        json!({"length": 3, "side": "left", "order": "oldest_first", "x": 1}),
        "unknown field `x`",
    );
    refused("/item/inputs/0/source", json!("item"), "none of user.id");
}

#[test]
fn numbers_out_of_bounds_are_refused() {
    refused("/format", json!(2), "format is 2, this program reads 1");
    refused("/dim", json!(0), "dim is 0");
    refused("/interests", json!(65), "interests is 65");
    refused("/history/length", json!(10_001), "history.length is 10001");
    refused(
        "/item/inputs/0/encoding",
        json!({"bucket": {"edges": [2.0, 1.0]}}),
        "ascending",
    );
    refused(
        "/item/inputs/0/encoding",
        json!({"bucket": {"edges": [1.0, 2.0], "offset": i32::MAX - 1}}),
        "offset is 2147483646, it must be at most 2147483645",
    );
}

#[test]
fn a_shape_that_the_source_cannot_fill_is_refused() {
    refused(
        "/user/inputs/0/shape",
        json!([null, 4]),
        "shape [null, 4] holds 4 values a row, source `history.item` gives 3",
    );
    refused(
        "/user/inputs/0/shape",
        json!([1, 3]),
        "must be null at axis 0",
    );
    refused(
        "/user/inputs/0/shape",
        json!([null, 1_u64 << 32, 1_u64 << 32]),
        "1 to 10000 elsewhere",
    );
    refused(
        "/user/inputs/0/shape",
        json!([null, 0, usize::MAX]),
        "1 to 10000 elsewhere",
    );
    refused(
        "/item/inputs/0/shape",
        json!([null, 2000]),
        "holds 2000 values",
    );
}

#[test]
fn item_vectors_are_one_row_of_dim_f32_for_each_event() {
    let input = |shape: Value, dtype: &str| json!({"name": "h", "dtype": dtype, "shape": shape, "source": "history.item", "encoding": "item_vector"});
    let place = "/user/inputs/0";
    assert_eq!(problems_with(place, input(json!([null, 3, 4]), "f32")), "");
    for shape in [json!([null, 3]), json!([null, 12]), json!([null, 3, 5])] {
        let words = "must be [null, 3, 4]: a vector of the signature's dim";
        refused(place, input(shape, "f32"), words);
    }
    let wrong = input(json!([null, 3, 4]), "i64");
    refused(place, wrong, "encoding item_vector gives no I64");
    refused(
        "/user/inputs/1/encoding",
        json!("item_vector"),
        "shape [null, 3] must be [null, 3, 4]",
    );
}

#[test]
fn an_encoding_that_does_not_fit_is_refused() {
    refused(
        "/user/inputs/0/encoding",
        json!("mask"),
        "encoding mask does not fit source `history.item`",
    );
    refused(
        "/item/inputs/0/dtype",
        json!("f32"),
        "encoding bucket gives no F32",
    );
    refused(
        "/user/inputs/0/encoding",
        json!({"vocabulary": {"file": "v", "unknown": 1}}),
        "names no padding id",
    );
    refused(
        "/item/inputs/0/source",
        json!("user.age"),
        "does not belong to the item tower",
    );
    refused("/metric", json!("cosine"), "normalized is false");
}
