//! Finds the raw values that give an input its lowest and its highest id: a table that is too short shows at these.

use crate::{
    features::{Value, hash::hash},
    signature::{Encoding, Input},
    vocabulary::Vocabularies,
};

/// Texts that are hashed at most, in search of the highest bucket.
const MOST_TRIES: u32 = 1 << 22;

/// Returns raw values for the lowest and the highest id of an input; none if it takes no ids, or a vocabulary of items.
///
/// The reserved ids of a vocabulary are left out. A hash gives one text, for its highest bucket; of more than a quarter
/// of a million buckets, for the highest that four million texts reach.
pub fn extremes(input: &Input, vocabularies: &Vocabularies) -> Vec<Value> {
    match &input.encoding {
        Encoding::Vocabulary { .. } => {
            let ends = vocabularies.ends(input).into_iter();
            ends.map(Value::Text).collect()
        }
        Encoding::Bucket { .. } | Encoding::Length => {
            vec![Value::Number(f64::MIN), Value::Number(f64::MAX)]
        }
        Encoding::Hash {
            function,
            seed,
            buckets,
            ..
        } => {
            let tries = buckets.saturating_mul(16).min(MOST_TRIES);
            let bucket =
                |text: &String| hash(*function, *seed, text.as_bytes()) % u64::from(*buckets);
            let texts = (0..tries).map(|number| number.to_string());
            texts
                .max_by_key(bucket)
                .map(Value::Text)
                .into_iter()
                .collect()
        }
        Encoding::Numeric { .. } | Encoding::Mask | Encoding::ItemVector => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::{Value as Json, json};

    use super::*;
    use crate::{
        features::{Features, Item, tensors::ItemTensors},
        signature::Signature,
    };

    /// Checks the ids that the extremes of `item.f` become.
    fn check(encoding: Json, expected: &[f64]) {
        let input = |name: &str, source: &str, encoding: &Json| json!({"name": name, "dtype": "i64", "shape": [null], "source": source, "encoding": encoding});
        let signature = json!({
            "format": 1, "metric": "dot", "dim": 1, "interests": 1,
            "history": {"length": 1, "side": "left", "order": "oldest_first"},
            "user": {"inputs": [input("n", "history.length", &json!("length"))], "output": {"name": "u"}},
            "item": {"inputs": [input("f", "item.f", &encoding)], "output": {"name": "i"}},
        });
        let signature = Signature::parse(signature.to_string().as_bytes()).unwrap();
        let read = |_: &str| Ok(b"<unk>\nlow\nmiddle\nhigh\n".to_vec());
        let vocabularies = Vocabularies::read(&signature, read).unwrap();
        let items: Vec<Item> = extremes(&signature.item.inputs[0], &vocabularies)
            .into_iter()
            .map(|value| Item {
                id: 0,
                features: Features::from([("f".to_owned(), value)]),
            })
            .collect();
        let tensor = &ItemTensors::new(&signature, &vocabularies).batch(&items, items.len())[0];
        let found: Vec<f64> = (0..tensor.data.len())
            .map(|at| tensor.data.number(at))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_vocabulary_is_reached_from_its_first_to_its_last_line() {
        let vocabulary = json!({"vocabulary": {"file": "vocabulary/f.txt", "unknown": 0}});
        check(vocabulary, &[1.0, 3.0]);
    }

    #[test]
    fn buckets_are_reached_below_and_above_all_edges() {
        let bucket = json!({"bucket": {"edges": [-5.0, 0.0, 5.0], "offset": 1}});
        check(bucket, &[1.0, 4.0]);
    }

    #[test]
    fn the_highest_bucket_of_a_hash_is_reached() {
        let hash = json!({"hash": {"function": "fnv1a64", "buckets": 1000, "offset": 1}});
        check(hash, &[1000.0]);
    }
}
