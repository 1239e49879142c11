//! Publishing: all at once, in order, or not at all.

use std::{fs, io::Read as _, os::unix::fs::PermissionsExt as _};

use generation::{error::Error, open, publish::Staging, rows::Rows};

use crate::fixture::{Place, draft, in_both};

in_both! {
    what_was_published_is_what_is_opened,
    the_one_that_served_becomes_the_previous_and_ids_sort_by_age,
    of_two_builders_at_once_the_second_is_refused,
    a_shard_without_a_file_is_refused_by_the_files_name,
    rows_of_another_count_are_refused_with_both_sizes,
    an_artifact_that_is_not_in_the_store_is_refused,
    shards_out_of_order_and_files_with_odd_names_are_refused,
    a_staging_that_is_dropped_leaves_nothing,
}

async fn what_was_published_is_what_is_opened(place: Place) {
    let house = place.house().await;
    let manifest = house.publish(1.0).await;
    assert_eq!(house.serving().await, (manifest.id.clone(), None));

    let opened = open::open(&house.elsewhere(), &manifest.id).await.unwrap();
    assert_eq!(opened.manifest, manifest);
    assert_eq!(
        (manifest.items, manifest.shards.len(), manifest.files.len()),
        (5, 2, 8)
    );
    let rows = Rows::map(&opened.file("shard-0000.rows").unwrap()).unwrap();
    assert_eq!(rows.ids(), [0, 10, 20]);
    assert_eq!(*rows.row(2), [9.0, 10.0, 11.0, 12.0]);
    let mut popularity = String::new();
    opened
        .file("popularity.json")
        .unwrap()
        .read_to_string(&mut popularity)
        .unwrap();
    assert_eq!(popularity, "[[10, 3]]");
    assert_eq!(house.staged(), 0);
}

async fn the_one_that_served_becomes_the_previous_and_ids_sort_by_age(place: Place) {
    let house = place.house().await;
    let mut ids = Vec::new();
    for seed in [1.0, 2.0, 3.0, 3.0] {
        ids.push(house.publish(seed).await.id);
    }
    assert_eq!(
        house.serving().await,
        (ids[3].clone(), Some(ids[2].clone()))
    );
    assert!(ids.is_sorted(), "{ids:?}");
    ids.reverse();
    assert_eq!(house.store.generations().await.unwrap(), ids);
}

async fn of_two_builders_at_once_the_second_is_refused(place: Place) {
    let house = place.house().await;
    let served = house.publish(1.0).await.id;
    let (first, second) = (house.stage(2.0), house.stage(3.0));
    let published = first.commit(draft()).await.unwrap().id;
    let cause = second.commit(draft()).await.unwrap_err();
    assert!(matches!(cause, Error::Conflict { .. }), "{cause}");
    assert_eq!(house.serving().await, (published, Some(served)));
    assert_eq!(house.store.generations().await.unwrap().len(), 2);
    assert_eq!(house.staged(), 0);
}

/// Commits a staging after `spoil` had its way; nothing may change, and the error is returned.
async fn refused(
    place: Place,
    spoil: impl FnOnce(&Staging, &mut generation::publish::Draft),
) -> String {
    let house = place.house().await;
    let served = house.publish(1.0).await.id;
    let staging = house.stage(2.0);
    let mut draft = draft();
    spoil(&staging, &mut draft);
    let cause = staging.commit(draft).await.unwrap_err().to_string();
    assert_eq!(house.serving().await, (served.clone(), None));
    assert_eq!(house.store.generations().await.unwrap(), [served]);
    assert_eq!(house.staged(), 0);
    cause
}

async fn a_shard_without_a_file_is_refused_by_the_files_name(place: Place) {
    let cause = refused(place, |staging, _| {
        fs::remove_file(staging.dir().join("shard-0001.graph")).unwrap();
    })
    .await;
    assert_eq!(cause, "file shard-0001.graph is not in the store");
}

async fn rows_of_another_count_are_refused_with_both_sizes(place: Place) {
    let cause = refused(place, |_, draft| draft.shards[1].items = 3).await;
    assert!(
        cause.contains("size of a rows file is 160, expected 176"),
        "{cause}"
    );
}

async fn an_artifact_that_is_not_in_the_store_is_refused(place: Place) {
    let cause = refused(place, |_, draft| draft.space = "f".repeat(32)).await;
    assert_eq!(
        cause,
        format!("artifact {} is not in the store", "f".repeat(32))
    );
}

async fn shards_out_of_order_and_files_with_odd_names_are_refused(place: Place) {
    let cause = refused(place, |_, draft| draft.shards.reverse()).await;
    assert!(cause.contains("shard's number is 1, expected 0"), "{cause}");
    let cause = refused(place, |_, draft| {
        draft.shards[0].graph = "../CURRENT".to_owned()
    })
    .await;
    assert!(cause.contains("../CURRENT"), "{cause}");
    let cause = refused(place, |staging, _| {
        fs::write(staging.dir().join("a b"), "").unwrap();
    })
    .await;
    assert!(cause.contains("\"a b\""), "{cause}");
    let cause = refused(place, |staging, _| {
        std::os::unix::fs::symlink("/etc/hostname", staging.dir().join("link")).unwrap();
    })
    .await;
    assert!(cause.contains("link: kind is not a file"), "{cause}");
}

async fn a_staging_that_is_dropped_leaves_nothing(place: Place) {
    let house = place.house().await;
    let staging = house.stage(1.0);
    assert_eq!(house.staged(), 1);
    drop(staging);
    assert_eq!(house.staged(), 0);
    assert!(house.store.current().await.unwrap().is_none());
}

#[tokio::test]
async fn others_may_read_a_generation_as_they_may_its_parent() {
    let house = Place::Directory.house().await;
    let id = house.publish(1.0).await.id;
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(
        mode(house.path(&id, "")),
        mode(house.store.root().join("generations"))
    );
    assert_eq!(mode(house.path(&id, "shard-0000.rows")) & 0o222, 0);
}
