//! Behaviours of what each kind of input may hold.

use super::*;
use crate::signature::{HashFunction, Source};

const HISTORY: usize = 5;

fn slot(dtype: Dtype, source: Source, encoding: Encoding) -> Slot {
    let input = Input {
        name: "x".to_owned(),
        dtype,
        shape: vec![None],
        source,
        encoding,
    };
    Slot {
        spec: TensorSpec::from(&input),
        ids: ids(&input, &Vocabularies::default(), HISTORY),
    }
}

/// Expects an input to take whole numbers from 0 to `most` and no others.
fn check(source: Source, encoding: Encoding, most: i64) {
    let wide = slot(Dtype::I64, source.clone(), encoding.clone());
    let narrow = slot(Dtype::I32, source, encoding);
    let refusal = |value: i64| {
        let refused = wide.element(&Data::I64(vec![0, value]));
        let alike = narrow.element(&Data::I32(vec![0, value as i32]));
        assert_eq!(refused, alike);
        refused
    };
    assert_eq!(refusal(most), None);
    for value in [-1, most + 1] {
        let expected = format!("element 1 of input `x` is {value}, it must be 0 to {most}");
        assert_eq!(refusal(value), Some(expected));
    }
    for value in [i64::MIN, i64::MAX] {
        assert!(wide.element(&Data::I64(vec![value])).is_some());
    }
}

#[test]
fn a_whole_number_is_one_that_a_feature_can_become() {
    let bucket = Encoding::Bucket {
        edges: vec![0.0, 10.0],
        offset: 1,
    };
    check(Source::User("age".to_owned()), bucket, 3);
    let hash = Encoding::Hash {
        function: HashFunction::Fnv1a64,
        seed: 0,
        buckets: 100,
        offset: 1,
    };
    check(Source::UserId, hash, 100);
    check(Source::HistoryLength, Encoding::Length, HISTORY as i64);
    check(Source::HistoryMask, Encoding::Mask, 1);
}

#[test]
fn a_number_may_be_any_that_is_finite() {
    let numeric = Encoding::Numeric {
        mean: 0.0,
        std: 1.0,
    };
    let slot = slot(Dtype::F32, Source::HistoryValue, numeric);
    assert_eq!(slot.element(&Data::F32(vec![f32::MAX, -1e9])), None);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let expected = format!("element 1 of input `x` is {value}, it must be finite");
        assert_eq!(slot.element(&Data::F32(vec![0.0, value])), Some(expected));
    }
}

#[test]
fn a_truth_value_may_be_either() {
    let slot = slot(Dtype::Bool, Source::HistoryMask, Encoding::Mask);
    assert_eq!(slot.element(&Data::Bool(vec![true, false])), None);
}
