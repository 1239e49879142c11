//! The catalog's log: numbers without gaps, whole files, and nothing removed that somebody needs.

use std::collections::BTreeMap;

use generation::{
    collect::collect,
    deltas::{self, Changes, Vectors},
    error::Error,
};
use proptest::{
    prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest},
    strategy::{Just, Strategy as _},
};
use tokio::task::JoinSet;

use crate::fixture::{House, Place, SPACE, draft, in_both};

in_both! {
    writers_at_once_get_numbers_without_gaps,
    a_log_that_goes_on_after_a_hole_is_refused,
    of_two_that_embed_the_same_items_the_first_counts,
    a_file_under_another_name_is_refused,
    a_delta_stays_while_a_generation_may_need_it,
    a_writer_far_behind_is_refused_and_leaves_nothing,
}

/// Puts item `id` in, saying `text`.
fn put(id: u64, text: &str) -> Changes {
    Changes {
        items: BTreeMap::from([(id, Some(text.as_bytes().to_vec()))]),
    }
}

fn vectors(id: u64, row: &[f32]) -> Vectors {
    Vectors {
        dim: row.len(),
        rows: BTreeMap::from([(id, row.to_vec())]),
    }
}

fn name(number: u64, suffix: &str) -> String {
    format!("deltas/{number:020}{suffix}")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn what_was_put_is_read(
        items in prop::collection::btree_map(any::<u64>(), prop::option::of(prop::collection::vec(any::<u8>(), 0..9)), 0..9),
        rows in (0_usize..5).prop_flat_map(|dim| {
            let row = prop::collection::vec(-1e30_f32..1e30, dim);
            (Just(dim), prop::collection::btree_map(any::<u64>(), row, 0..9))
        }),
    ) {
        runtime().block_on(async {
            let house = Place::Directory.empty();
            let store = &house.store;
            let changes = Changes { items };
            let (dim, rows) = rows;
            let vectors = Vectors { dim, rows };
            let number = deltas::append(store, &changes, 0).await.unwrap();
            deltas::put_vectors(store, number, SPACE, &vectors).await.unwrap();
            prop_assert_eq!(deltas::read(store, number).await.unwrap(), Some(changes));
            prop_assert_eq!(deltas::read_vectors(store, number, SPACE).await.unwrap(), Some(vectors));
            prop_assert_eq!(deltas::read(store, number + 1).await.unwrap(), None);
            prop_assert_eq!(deltas::read_vectors(store, number, "other").await.unwrap(), None);
            Ok(())
        })?;
    }

    #[test]
    fn a_damaged_file_is_refused(at in any::<prop::sample::Index>(), bit in 0_u8..8, cut in any::<bool>()) {
        runtime().block_on(async {
            let house = Place::Directory.empty();
            let store = &house.store;
            deltas::append(store, &put(7, "an item"), 0).await.unwrap();
            deltas::put_vectors(store, 1, SPACE, &vectors(7, &[1.0, 2.0])).await.unwrap();
            for suffix in ["", &format!(".{SPACE}")] {
                let name = name(1, suffix);
                let mut bytes = store.read(&name, 1 << 20).await.unwrap().unwrap();
                let at = at.index(bytes.len());
                match cut {
                    true => bytes.truncate(at),
                    false => bytes[at] ^= 1 << bit,
                }
                house.put(&name, &bytes).await;
            }
            let read = deltas::read(store, 1).await.map(drop);
            let vectors = deltas::read_vectors(store, 1, SPACE).await.map(drop);
            for damaged in [read, vectors] {
                let refused = matches!(damaged, Err(Error::Mismatch { .. }));
                prop_assert!(refused, "{damaged:?}");
            }
            Ok(())
        })?;
    }
}

async fn writers_at_once_get_numbers_without_gaps(place: Place) {
    let house = place.house().await;
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let store = house.store.clone();
        writers.spawn(async move {
            let mut numbers = Vec::new();
            for _ in 0..5 {
                let after = numbers.last().copied().unwrap_or(0);
                let changes = put(writer, "x");
                numbers.push(deltas::append(&store, &changes, after).await.unwrap());
            }
            numbers
        });
    }
    let mut numbers = writers.join_all().await.concat();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=40).collect::<Vec<u64>>());
    assert_eq!(deltas::numbers(&house.store).await.unwrap(), numbers);
}

async fn a_log_that_goes_on_after_a_hole_is_refused(place: Place) {
    let house = place.house().await;
    let store = &house.store;
    deltas::append(store, &put(1, "x"), 0).await.unwrap();
    deltas::check_end(store, 0).await.unwrap();
    deltas::check_end(store, 1).await.unwrap();
    house.put(&format!("deltas/{:020}", 4), b"whatever").await;
    deltas::check_end(store, 0).await.unwrap();
    let cause = deltas::check_end(store, 1).await.unwrap_err();
    assert_eq!(
        cause.to_string(),
        "the catalog's log ends with delta 1 and goes on with 4"
    );
}

async fn of_two_that_embed_the_same_items_the_first_counts(place: Place) {
    let house = place.house().await;
    let store = &house.store;
    let first = vectors(7, &[1.0, 2.0]);
    deltas::put_vectors(store, 3, SPACE, &first).await.unwrap();
    let second = vectors(7, &[1.0, 3.0]);
    deltas::put_vectors(store, 3, SPACE, &second).await.unwrap();
    let read = deltas::read_vectors(store, 3, SPACE).await.unwrap();
    assert_eq!(read, Some(first));
}

async fn a_file_under_another_name_is_refused(place: Place) {
    let house = place.house().await;
    let store = &house.store;
    deltas::append(store, &put(7, "an item"), 0).await.unwrap();
    let copy = async |from: String, to: String| {
        let bytes = store.read(&from, 1 << 20).await.unwrap().unwrap();
        house.put(&to, &bytes).await;
    };
    copy(name(1, ""), name(2, "")).await;
    let cause = deltas::read(store, 2).await.unwrap_err().to_string();
    assert!(cause.ends_with("number is [1], expected 2"), "{cause}");
    let vectors = vectors(7, &[1.0]);
    deltas::put_vectors(store, 1, "a", &vectors).await.unwrap();
    copy(name(1, ".a"), name(1, ".b")).await;
    let cause = deltas::read_vectors(store, 1, "b").await.unwrap_err();
    let cause = cause.to_string();
    assert!(cause.ends_with("space is a, expected b"), "{cause}");
}

/// Publishes a generation that holds the deltas up to a number.
async fn publish(house: &House, updates_from: u64) {
    let draft = generation::publish::Draft {
        updates_from,
        ..draft()
    };
    house.stage(1.0).commit(draft).await.unwrap();
}

async fn a_delta_stays_while_a_generation_may_need_it(place: Place) {
    let house = place.house().await;
    let store = &house.store;
    for number in 1..=6 {
        let changes = put(number, "x");
        deltas::append(store, &changes, number - 1).await.unwrap();
        deltas::put_vectors(store, number, SPACE, &vectors(number, &[1.0]))
            .await
            .unwrap();
    }
    publish(&house, 3).await;
    publish(&house, 5).await;
    collect(store, 2).await.unwrap();
    assert_eq!(deltas::numbers(store).await.unwrap(), [1, 2, 3, 4, 5, 6]);
    house.age("deltas");
    collect(store, 2).await.unwrap();
    assert_eq!(deltas::numbers(store).await.unwrap(), [4, 5, 6]);
    let files = store.list("deltas").await.unwrap();
    let expected =
        (4..=6).flat_map(|number| [name(number, ""), name(number, &format!(".{SPACE}"))]);
    let expected = expected.map(|name| name["deltas/".len()..].to_owned());
    assert_eq!(files, expected.collect::<Vec<_>>());

    publish(&house, 6).await;
    publish(&house, 6).await;
    collect(store, 2).await.unwrap();
    // The newest stays, so that the next number follows it.
    assert_eq!(deltas::numbers(store).await.unwrap(), [6]);
    let next = deltas::append(store, &put(1, "y"), 6).await.unwrap();
    assert_eq!(next, 7);
}

async fn a_writer_far_behind_is_refused_and_leaves_nothing(place: Place) {
    let house = place.house().await;
    let store = &house.store;
    for number in 1..=6 {
        let changes = put(number, "x");
        deltas::append(store, &changes, number - 1).await.unwrap();
    }
    publish(&house, 5).await;
    house.age("deltas");
    collect(store, 2).await.unwrap();
    let cause = deltas::append(store, &put(1, "y"), 2).await.unwrap_err();
    assert_eq!(cause.to_string(), "delta 2 is not in the store");
    assert_eq!(deltas::numbers(store).await.unwrap(), [6]);
}
