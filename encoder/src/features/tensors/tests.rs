//! What becomes of raw features, element by element.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;

use super::*;
use crate::{embedding::Embeddings, features::Value, gather::Gathered, signature::Encoding};

mod anything;
mod review;

/// Items 10, 11, 12 have ids 2, 3, 4; genders F, M have 2, 3; genres a, b, c have 2, 3, 4. The history holds 3 events.
fn signature(side: &str, order: &str) -> Signature {
    let vocabulary = |file: &str| json!({"vocabulary": {"file": file, "unknown": 1, "padding": 0}});
    let json = json!({
        "format": 1, "metric": "dot", "dim": 4, "interests": 1,
        "history": {"length": 3, "side": side, "order": order},
        "user": {
            "inputs": [
                {"name": "items", "dtype": "i64", "shape": [null, 3], "source": "history.item", "encoding": vocabulary("items")},
                {"name": "gaps", "dtype": "i32", "shape": [null, 3], "source": "history.gap",
                 "encoding": {"bucket": {"edges": [1.0, 60.0], "offset": 1}}},
                {"name": "values", "dtype": "f32", "shape": [null, 3, 1], "source": "history.value",
                 "encoding": {"numeric": {"mean": 3.0, "std": 2.0}}},
                {"name": "mask", "dtype": "bool", "shape": [null, 3], "source": "history.mask", "encoding": "mask"},
                {"name": "length", "dtype": "i64", "shape": [null, 1], "source": "history.length", "encoding": "length"},
                {"name": "gender", "dtype": "i64", "shape": [null], "source": "user.gender", "encoding": vocabulary("genders")},
                {"name": "kinds", "dtype": "i64", "shape": [null, 3], "source": "history.kind",
                 "encoding": {"hash": {"function": "fnv1a64", "buckets": 7, "offset": 1}}},
                {"name": "ages", "dtype": "i64", "shape": [null, 3], "source": "history.age",
                 "encoding": {"bucket": {"edges": [60.0, 120.0], "offset": 1}}},
                {"name": "scaled ages", "dtype": "f32", "shape": [null, 3], "source": "history.age",
                 "encoding": {"numeric": {"mean": 10.0, "std": 10.0}}},
            ],
            "output": {"name": "user"},
        },
        "item": {
            "inputs": [
                {"name": "item", "dtype": "i64", "shape": [null], "source": "item.id", "encoding": vocabulary("items")},
                {"name": "genres", "dtype": "i64", "shape": [null, 2], "source": "item.genres", "encoding": vocabulary("genres")},
            ],
            "output": {"name": "item"},
        },
    });
    Signature::parse(json.to_string().as_bytes()).unwrap()
}

fn vocabularies(signature: &Signature) -> Vocabularies {
    let file = |name: &str| {
        let lines: &[u8] = match name {
            "items" => b"<pad>\n<unk>\n10\n11\n12\n",
            "genders" => b"<pad>\n<unk>\nF\nM\n",
            _ => b"<pad>\n<unk>\na\nb\nc\n",
        };
        Ok(lines.to_vec())
    };
    Vocabularies::read(signature, file).unwrap()
}

fn user_tensors(side: &str, order: &str) -> UserTensors {
    let signature = signature(side, order);
    UserTensors::new(&signature, &vocabularies(&signature))
}

fn item_tensors() -> ItemTensors {
    let signature = signature("left", "oldest_first");
    ItemTensors::new(&signature, &vocabularies(&signature))
}

fn event(item: u64, value: f32, time: i64) -> Event {
    Event {
        item,
        kind: "rating".to_owned(),
        value,
        time,
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    (0..tensor.data.len())
        .map(|at| tensor.data.number(at))
        .collect()
}

/// A user with one unknown event between two known ones.
fn known_unknown_known() -> User {
    User {
        history: vec![event(10, 5.0, 0), event(99, 1.0, 30), event(11, 3.0, 90)],
        ..User::default()
    }
}

fn arranged(
    side: &str,
    order: &str,
    items: [f64; 3],
    gaps: [f64; 3],
    values: [f64; 3],
    mask: [f64; 3],
) {
    let batch = user_tensors(side, order).batch(&[known_unknown_known()], 1);
    assert_eq!(numbers(&batch.tensors[0]), items);
    assert_eq!(numbers(&batch.tensors[1]), gaps);
    assert_eq!(numbers(&batch.tensors[2]), values);
    assert_eq!(numbers(&batch.tensors[3]), mask);
    assert_eq!(numbers(&batch.tensors[4]), [2.0]);
}

#[test]
fn each_event_stands_where_the_history_says() {
    let sides = [("left", "oldest_first"), ("left", "newest_first")];
    for (side, order) in sides
        .into_iter()
        .chain([("right", "oldest_first"), ("right", "newest_first")])
    {
        let tensors = user_tensors(side, order);
        let users = [known_unknown_known(), User::default()];
        let batch = tensors.batch(&users, 4);
        assert_eq!(batch.items, [vec![10, 11], vec![]]);
        let row = &numbers(&batch.tensors[0])[..3];
        let places = history::places(tensors.history, 2);
        let ids: Vec<f64> = places.map(|place| row[place]).collect();
        assert_eq!(ids, [2.0, 3.0], "{side}, {order}");
    }
}

#[test]
fn a_history_is_padded_at_the_side_and_in_the_order_of_the_signature() {
    arranged(
        "left",
        "oldest_first",
        [0.0, 2.0, 3.0],
        [0.0, 1.0, 3.0],
        [0.0, 1.0, 0.0],
        [0.0, 1.0, 1.0],
    );
    arranged(
        "left",
        "newest_first",
        [0.0, 3.0, 2.0],
        [0.0, 3.0, 1.0],
        [0.0, 0.0, 1.0],
        [0.0, 1.0, 1.0],
    );
    arranged(
        "right",
        "oldest_first",
        [2.0, 3.0, 0.0],
        [1.0, 3.0, 0.0],
        [1.0, 0.0, 0.0],
        [1.0, 1.0, 0.0],
    );
    arranged(
        "right",
        "newest_first",
        [3.0, 2.0, 0.0],
        [3.0, 1.0, 0.0],
        [0.0, 1.0, 0.0],
        [1.0, 1.0, 0.0],
    );
}

#[test]
fn an_age_is_the_time_from_an_event_to_the_request() {
    let ages = |time: Option<i64>, side: &str| {
        let user = User {
            time,
            ..known_unknown_known()
        };
        let batch = user_tensors(side, "oldest_first").batch(&[user], 1);
        [numbers(&batch.tensors[7]), numbers(&batch.tensors[8])]
    };
    assert_eq!(
        ages(Some(130), "left"),
        [[0.0, 3.0, 1.0], [0.0, 12.0, 3.0]],
        "the events are 130 and 40 seconds old"
    );
    assert_eq!(
        ages(Some(60), "right"),
        [[2.0, 1.0, 0.0], [5.0, -1.0, 0.0]],
        "the second event lies in the future"
    );
    assert_eq!(
        ages(None, "right"),
        [[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]],
        "nobody knows when the request is"
    );
}

#[test]
fn the_vectors_of_a_history_are_padded_and_ordered_as_its_ids() {
    let rows = |side: &str, order: &str| {
        let mut signature = signature(side, order);
        signature.dim = 2;
        let input = &mut signature.user.inputs[0];
        input.dtype = Dtype::F32;
        input.shape = vec![None, Some(3), Some(2)];
        input.encoding = Encoding::ItemVector;
        assert_eq!(signature.problems(), [""; 0]);
        let vectors = Embeddings {
            dim: 2,
            values: vec![0.5, 1.0, 2.0, 4.0],
        };
        // Item 99 is in no vocabulary, items 11 and 12 are not in the generation.
        let vectors = Gathered::new(&[10, 99], vectors);
        let batch = UserTensors::new(&signature, &vocabularies(&signature)).batch_with(
            &[known_unknown_known()],
            2,
            Some(&vectors),
        );
        assert_eq!(batch.tensors[0].shape, [2, 3, 2]);
        assert_eq!(numbers(&batch.tensors[4]), [2.0, 0.0]);
        assert_eq!(batch.cold, [false]);
        numbers(&batch.tensors[0])
    };
    let (first, second, nobody) = ([0.5, 1.0], [2.0, 4.0], [0.0; 6]);
    let padding = [0.0; 2];
    let left = [padding, first, second].concat();
    assert_eq!(
        rows("left", "oldest_first"),
        [left, nobody.to_vec()].concat()
    );
    let right = [second, first, padding].concat();
    assert_eq!(
        rows("right", "newest_first"),
        [right, nobody.to_vec()].concat()
    );
}

#[test]
fn tensors_have_the_shapes_and_types_of_the_signature() {
    let batch = user_tensors("left", "oldest_first").batch(&[User::default()], 4);
    let shapes: Vec<&[usize]> = batch
        .tensors
        .iter()
        .map(|tensor| tensor.shape.as_slice())
        .collect();
    assert_eq!(
        shapes,
        [
            &[4, 3][..],
            &[4, 3],
            &[4, 3, 1],
            &[4, 3],
            &[4, 1],
            &[4],
            &[4, 3],
            &[4, 3],
            &[4, 3]
        ]
    );
    assert!(matches!(batch.tensors[0].data, Data::I64(_)));
    assert!(matches!(batch.tensors[1].data, Data::I32(_)));
    assert!(matches!(batch.tensors[2].data, Data::F32(_)));
    assert!(matches!(batch.tensors[3].data, Data::Bool(_)));
}

#[test]
fn rows_beyond_the_users_are_nobody() {
    let tensors = user_tensors("left", "oldest_first");
    let padded = tensors.batch(&[known_unknown_known()], 2);
    let nobody = tensors.batch(&[known_unknown_known(), User::default()], 2);
    assert_eq!(padded.tensors, nobody.tensors);
    assert_eq!(padded.cold, [false]);
    assert_eq!(nobody.cold, [false, true]);
}

#[test]
fn a_history_of_unknown_items_is_cold() {
    let user = User {
        history: vec![event(99, 5.0, 0)],
        ..User::default()
    };
    let batch = user_tensors("left", "oldest_first").batch(&[user], 1);
    assert_eq!(batch.cold, [true]);
    assert_eq!(numbers(&batch.tensors[0]), [0.0; 3]);
}

#[test]
fn a_missing_unseen_or_reserved_feature_takes_the_unknown_id() {
    let tensors = user_tensors("left", "oldest_first");
    let gender = |value: Option<Value>| {
        let features = value
            .map(|value| ("gender".to_owned(), value))
            .into_iter()
            .collect();
        let user = User {
            features,
            ..User::default()
        };
        numbers(&tensors.batch(&[user], 1).tensors[5])[0]
    };
    assert_eq!(gender(Some("M".into())), 3.0);
    assert_eq!(
        gender(Some(vec!["F".to_owned(), "M".to_owned()].into())),
        2.0
    );
    for unknown in [
        None,
        Some("x".into()),
        Some("<pad>".into()),
        Some(1.0.into()),
        Some(Vec::new().into()),
    ] {
        assert_eq!(gender(unknown), 1.0);
    }
}

#[test]
fn a_list_is_cut_and_padded_and_an_empty_one_is_all_padding() {
    let tensors = item_tensors();
    let genres = |value: Option<Vec<&str>>| {
        let list = |values: Vec<&str>| Value::List(values.into_iter().map(str::to_owned).collect());
        let features = value
            .map(|values| ("genres".to_owned(), list(values)))
            .into_iter()
            .collect();
        numbers(&tensors.batch(&[Item { id: 10, features }], 1)[1])
    };
    assert_eq!(genres(Some(vec!["c", "a", "b"])), [4.0, 2.0]);
    assert_eq!(genres(Some(vec!["b"])), [3.0, 0.0]);
    assert_eq!(genres(Some(vec!["x"])), [1.0, 0.0]);
    assert_eq!(genres(Some(vec![])), [0.0, 0.0]);
    assert_eq!(genres(None), [1.0, 0.0]);
}

#[test]
fn an_item_is_known_if_its_vocabulary_names_it() {
    let tensors = item_tensors();
    assert!(tensors.knows(12) && !tensors.knows(13) && !tensors.knows(0));
}
