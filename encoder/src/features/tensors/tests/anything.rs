//! Whatever features and histories come in.

use proptest::prelude::*;

use super::*;

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<f64>().prop_map(Value::Number),
        "[FMabc<>a-z0-9]{0,3}".prop_map(Value::Text),
        prop::collection::vec("[FMabc]?", 0..5).prop_map(Value::List),
    ]
}

fn any_features() -> impl Strategy<Value = Features> {
    prop::collection::btree_map(
        prop_oneof![Just("gender".to_owned()), Just("genres".to_owned())],
        any_value(),
        0..3,
    )
}

fn any_event() -> impl Strategy<Value = Event> {
    (
        prop_oneof![8u64..14, any::<u64>()],
        ".{0,4}",
        any::<f32>(),
        any::<i64>(),
    )
        .prop_map(|(item, kind, value, time)| Event {
            item,
            kind,
            value,
            time,
        })
}

proptest! {
    #[test]
    fn whatever_comes_in_ids_stay_within_their_tables_and_floats_are_finite(
        id in ".{0,5}",
        features in any_features(),
        history in prop::collection::vec(any_event(), 0..8),
        item in any::<u64>(),
        time in any::<Option<i64>>(),
    ) {
        let user = User { id, features: features.clone(), history, time };
        let batch = user_tensors("right", "newest_first").batch(&[user], 1);
        let bounds = [5.0, 4.0, f64::INFINITY, 2.0, 4.0, 4.0, 8.0, 4.0, f64::INFINITY];
        for (tensor, bound) in batch.tensors.iter().zip(bounds) {
            for number in numbers(tensor) {
                let lowest = if bound.is_infinite() { f64::MIN } else { 0.0 };
                prop_assert!(number >= lowest && number < bound, "{number} of {tensor:?}");
            }
        }
        let tensors = item_tensors().batch(&[Item { id: item, features }], 1);
        for tensor in &tensors {
            prop_assert!(numbers(tensor).into_iter().all(|id| (0.0..5.0).contains(&id)));
        }
    }

    #[test]
    fn the_mask_is_where_items_are_and_the_length_counts_it(history in prop::collection::vec(any_event(), 0..8)) {
        let user = User { history, ..User::default() };
        let batch = user_tensors("left", "oldest_first").batch(&[user], 1);
        let items: Vec<bool> = numbers(&batch.tensors[0]).iter().map(|id| *id != 0.0).collect();
        let mask: Vec<bool> = numbers(&batch.tensors[3]).iter().map(|there| *there == 1.0).collect();
        prop_assert_eq!(&items, &mask);
        let count = mask.iter().filter(|there| **there).count();
        prop_assert_eq!(numbers(&batch.tensors[4]), [count as f64]);
        prop_assert_eq!(batch.cold, [count == 0]);
    }
}
