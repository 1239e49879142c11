//! CURRENT and MEMBERS: one winner, and only content that makes sense.

use generation::{
    error::Error,
    store::{Current, Members},
};

use crate::fixture::{Place, in_both};

in_both! {
    a_new_store_has_neither,
    of_many_writers_at_once_one_wins,
    a_stale_version_is_refused_with_both_versions,
    members_must_be_distinct_names_of_a_growing_epoch,
    a_damaged_pointer_is_an_error_and_never_a_new_store,
}

fn current(serving: &str) -> Current {
    Current::of(serving)
}

fn members(epoch: u64, names: &[&str]) -> Members {
    Members {
        epoch,
        members: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

async fn a_new_store_has_neither(place: Place) {
    let house = place.house().await;
    assert!(house.store.current().await.unwrap().is_none());
    assert!(house.store.members().await.unwrap().is_none());
    assert!(house.store.generations().await.unwrap().is_empty());
}

async fn of_many_writers_at_once_one_wins(place: Place) {
    let house = place.house().await;
    let mut expected = None;
    for round in 0..5 {
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let (store, expected) = (house.store.clone(), expected.clone());
                let new = current(&format!("round-{round}-writer-{writer}"));
                tokio::spawn(async move {
                    store
                        .swap_current(expected.as_ref(), &new)
                        .await
                        .map(|()| new)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for writer in writers {
            match writer.await.unwrap() {
                Ok(new) => winners.push(new),
                Err(cause) => assert!(matches!(cause, Error::Conflict { .. }), "{cause}"),
            }
        }
        assert_eq!(winners.len(), 1);
        let found = house.store.current().await.unwrap().unwrap();
        assert_eq!(found.value, winners[0]);
        expected = Some(found.version);
    }
}

async fn a_stale_version_is_refused_with_both_versions(place: Place) {
    let house = place.house().await;
    let cause = house.store.members().await.unwrap();
    assert!(cause.is_none());
    house
        .store
        .swap_members(None, &members(1, &["a"]))
        .await
        .unwrap();
    let cause = house
        .store
        .swap_members(None, &members(2, &["a"]))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        cause.starts_with("MEMBERS was changed by another writer: it is at version "),
        "{cause}"
    );
    assert!(cause.ends_with("expected none"), "{cause}");
}

async fn members_must_be_distinct_names_of_a_growing_epoch(place: Place) {
    let house = place.house().await;
    for (bad, words) in [
        (members(1, &[]), "at least one"),
        (members(1, &["a", "a"]), "distinct"),
        (members(1, &["../a"]), "not a name"),
    ] {
        let cause = house
            .store
            .swap_members(None, &bad)
            .await
            .unwrap_err()
            .to_string();
        assert!(cause.contains(words), "{cause}");
    }
    house
        .store
        .swap_members(None, &members(4, &["a"]))
        .await
        .unwrap();
    let found = house.store.members().await.unwrap().unwrap();
    let swap = |new| {
        let (store, version) = (house.store.clone(), found.version.clone());
        async move { store.swap_members(Some(&version), &new).await }
    };
    let cause = swap(members(4, &["a", "b"])).await.unwrap_err().to_string();
    assert_eq!(cause, "MEMBERS: epoch is 4, expected more than 4");
    swap(members(5, &["a", "b"])).await.unwrap();
}

async fn a_damaged_pointer_is_an_error_and_never_a_new_store(place: Place) {
    let house = place.house().await;
    for (text, words) in [
        ("{\"serving\":", "EOF"),
        ("{\"serving\":\"../x\",\"previous\":null}", "not a name"),
        (
            "{\"serving\":\"x\",\"previous\":null,\"more\":1}",
            "unknown field",
        ),
        ("", "EOF"),
    ] {
        house.put("CURRENT", text.as_bytes()).await;
        let read = house.store.current().await.unwrap_err().to_string();
        assert!(read.contains(words), "{read}");
        let swapped = house
            .store
            .swap_current(None, &current("a"))
            .await
            .unwrap_err()
            .to_string();
        assert_eq!(swapped, read);
    }
}
