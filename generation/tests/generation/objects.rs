//! Single objects: created once, by one.

use generation::error::Error;

use crate::fixture::{Place, in_both};

in_both! {
    an_object_is_created_once_and_read_whole,
    of_many_that_create_an_object_at_once_one_does,
    objects_are_listed_in_order_without_what_lies_deeper,
    an_object_over_the_limit_is_refused_with_both_sizes,
    names_that_leave_the_store_are_refused,
}

async fn an_object_is_created_once_and_read_whole(place: Place) {
    let store = place.empty().store;
    assert_eq!(store.read("deltas/1", 9).await.unwrap(), None);
    assert!(store.create("deltas/1", b"one".to_vec()).await.unwrap());
    assert!(!store.create("deltas/1", b"two".to_vec()).await.unwrap());
    let read = store.read("deltas/1", 9).await.unwrap();
    assert_eq!(read.unwrap(), b"one");
    for _ in 0..2 {
        store.remove("deltas/1").await.unwrap();
    }
    assert_eq!(store.read("deltas/1", 9).await.unwrap(), None);
    assert!(store.create("deltas/1", b"two".to_vec()).await.unwrap());
}

async fn of_many_that_create_an_object_at_once_one_does(place: Place) {
    let house = place.empty();
    for number in 0..5 {
        let writers: Vec<_> = (0..8_u8)
            .map(|writer| {
                let store = house.store.clone();
                let name = format!("deltas/{number}");
                tokio::spawn(async move { (writer, store.create(&name, vec![writer; 99]).await) })
            })
            .collect();
        let mut winners = Vec::new();
        for writer in writers {
            let (writer, created) = writer.await.unwrap();
            if created.unwrap() {
                winners.push(writer);
            }
        }
        let read = house.store.read(&format!("deltas/{number}"), 99).await;
        assert_eq!(read.unwrap().unwrap(), vec![winners[0]; 99]);
        assert_eq!(winners.len(), 1);
    }
}

async fn objects_are_listed_in_order_without_what_lies_deeper(place: Place) {
    let store = place.empty().store;
    assert!(store.list("deltas").await.unwrap().is_empty());
    for name in ["deltas/2", "deltas/1", "deltas/1.x", "deltas/y/3", "other"] {
        store.create(name, b"x".to_vec()).await.unwrap();
    }
    let listed = store.list("deltas").await.unwrap();
    assert_eq!(listed, ["1", "1.x", "2"]);
}

async fn an_object_over_the_limit_is_refused_with_both_sizes(place: Place) {
    let store = place.empty().store;
    store.create("deltas/1", vec![0; 10]).await.unwrap();
    let cause = store.read("deltas/1", 9).await.unwrap_err().to_string();
    assert_eq!(cause, "deltas/1: size in bytes is 10, expected at most 9");
}

async fn names_that_leave_the_store_are_refused(place: Place) {
    let store = place.empty().store;
    for name in ["../x", "deltas/../../x", "/x", "deltas//x", "deltas/.x", ""] {
        let cause = store.create(name, Vec::new()).await.unwrap_err();
        assert!(matches!(cause, Error::Name { .. }), "{cause}");
        assert!(store.read(name, 9).await.is_err());
        assert!(store.list(name).await.is_err());
        assert!(store.remove(name).await.is_err());
    }
}
