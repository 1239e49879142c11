//! Behaviours of the store, on true files and on a disk that can be full.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use encoder::features::Features;
use futures::future::join_all;
use proptest::prelude::*;
use redb::{Builder, StorageBackend};

use super::*;
use crate::{
    history::{Event, Record},
    redb_store::tests::disk::Disk,
};

mod copies;
mod damage;
mod disk;
mod power;
mod records;

fn config(keep: usize, queue: usize) -> HistoryConfig {
    HistoryConfig {
        path: PathBuf::new(),
        keep,
        max_age: Duration::ZERO,
        queue,
        cache_bytes: 1 << 20,
        page_cache_bytes: 1 << 20,
    }
}

/// A store on a disk that outlives it.
fn on<D: StorageBackend + Clone>(disk: &D, config: &HistoryConfig) -> RedbStore {
    let disk = disk.clone();
    let opener = move || {
        let path = Path::new("memory");
        let created = Builder::new().create_with_backend(disk.clone());
        let database = created.map_err(|cause| OpenError::Database {
            path: path.to_owned(),
            source: cause.into(),
        })?;
        open::prepare(&database, path, 1)?;
        Ok(database)
    };
    RedbStore::with(config, Box::new(opener)).unwrap()
}

/// All users, from the first page on.
fn everyone() -> Selection {
    Selection {
        after: String::new(),
        arrived_after: 0,
        wanted: Arc::new(|_| true),
    }
}

fn keeping(keep: usize) -> RedbStore {
    on(&Disk::default(), &config(keep, 1_024))
}

fn record(user: &str, time: i64, event_id: &str, item: u64) -> Record {
    Record {
        user: user.to_owned(),
        event: Event {
            time,
            event_id: event_id.to_owned(),
            item,
            kind: "rating".to_owned(),
            value: 4.5,
        },
    }
}

async fn append(store: &RedbStore, records: Vec<Record>) -> (u64, u64) {
    let write = Write {
        records,
        ..Write::default()
    };
    let tally = store.write(write).await.unwrap();
    (tally.recorded, tally.duplicates)
}

async fn items(store: &RedbStore, user: &str) -> Vec<u64> {
    let history = store.read(user).await.unwrap();
    history.events.iter().map(|event| event.item).collect()
}

async fn seen(store: &RedbStore, user: &str) -> Vec<u64> {
    store.read(user).await.unwrap().seen.clone()
}

#[tokio::test]
async fn events_are_ordered_by_time_then_by_event_id() {
    let store = keeping(10);
    append(
        &store,
        vec![record("7", 2, "b", 22), record("7", 3, "a", 31)],
    )
    .await;
    append(
        &store,
        vec![record("7", 2, "a", 21), record("7", 1, "z", 19)],
    )
    .await;
    assert_eq!(items(&store, "7").await, [19, 21, 22, 31]);
    let history = store.read("7").await.unwrap();
    assert_eq!(history.events[1], record("7", 2, "a", 21).event);
}

#[tokio::test]
async fn a_key_recorded_again_changes_nothing() {
    let store = keeping(10);
    let twice = vec![record("7", 1, "a", 5), record("7", 1, "a", 6)];
    assert_eq!(append(&store, twice).await, (1, 1));
    let again = vec![record("7", 1, "a", 9), record("7", 1, "b", 8)];
    assert_eq!(append(&store, again).await, (1, 1));
    assert_eq!(items(&store, "7").await, [5, 8]);
    assert_eq!(seen(&store, "7").await, [5, 8]);
}

#[tokio::test]
async fn only_the_newest_are_kept_but_everything_seen_stays() {
    let store = keeping(3);
    let many = (1..=10).map(|time| record("7", time, "a", 100 - time as u64));
    assert_eq!(append(&store, many.collect()).await, (10, 0));
    assert_eq!(items(&store, "7").await, [92, 91, 90]);
    assert_eq!(append(&store, vec![record("7", 11, "a", 50)]).await, (1, 0));
    assert_eq!(items(&store, "7").await, [91, 90, 50]);
    let all: Vec<u64> = [50].into_iter().chain(90..=99).collect();
    assert_eq!(seen(&store, "7").await, all);
}

#[tokio::test]
async fn an_event_older_than_all_that_are_kept_counts_by_its_item() {
    let store = keeping(2);
    let full = (5..8).map(|time| record("7", time, "a", time as u64));
    append(&store, full.collect()).await;
    let old = vec![
        record("7", 5, "a", 5),
        record("7", 1, "a", 5),
        record("7", 1, "b", 60),
    ];
    assert_eq!(append(&store, old).await, (1, 2));
    assert_eq!(items(&store, "7").await, [6, 7]);
    assert_eq!(seen(&store, "7").await, [5, 6, 7, 60]);
}

#[tokio::test]
async fn users_with_similar_names_are_different_users() {
    let store = keeping(10);
    let names = ["a", "a\0", "aa", "b", "ä"];
    let one_each = names
        .iter()
        .zip(1..)
        .map(|(name, item)| record(name, 1, "x", item));
    append(&store, one_each.collect()).await;
    for (name, item) in names.iter().zip(1..) {
        assert_eq!(items(&store, name).await, [item]);
        assert_eq!(seen(&store, name).await, [item]);
    }
    assert_eq!(*store.read("").await.unwrap(), History::default());
}

#[tokio::test]
async fn a_profile_is_replaced_whole() {
    let store = keeping(10);
    for (name, value) in [("gender", "F"), ("age", "25")] {
        let write = Write {
            profiles: vec![(
                "7".to_owned(),
                Features::from([(name.to_owned(), value.into())]),
            )],
            ..Write::default()
        };
        store.write(write).await.unwrap();
        let history = store.read("7").await.unwrap();
        let profile = history.profile.as_ref().unwrap();
        assert_eq!(profile.len(), 1);
        assert_eq!(profile[name], value.into());
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let config = HistoryConfig {
        path: dir.path().join("deep/history.redb"),
        ..config(10, 8)
    };
    let store = RedbStore::open(&config, 1).unwrap();
    append(&store, vec![record("7", 1, "a", 5)]).await;
    drop(store);
    let store = RedbStore::open(&config, 1).unwrap();
    assert_eq!(items(&store, "7").await, [5]);
    assert_eq!(append(&store, vec![record("7", 1, "a", 5)]).await, (0, 1));
}

#[tokio::test]
async fn a_file_in_use_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let config = HistoryConfig {
        path: dir.path().join("history.redb"),
        ..config(10, 8)
    };
    let _first = RedbStore::open(&config, 1).unwrap();
    let refused = RedbStore::open(&config, 1).err().unwrap().to_string();
    assert!(
        refused.contains("history.redb is open in another process"),
        "{refused}"
    );
}

#[tokio::test]
async fn another_schema_is_refused_with_both_versions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.redb");
    let database = open::file(&path, 1 << 20, 1).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(schema::META)
        .unwrap()
        .insert(schema::SCHEMA, 3)
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    let refused = open::file(&path, 1 << 20, 1).unwrap_err().to_string();
    assert_eq!(
        refused,
        "the history has schema version 3, this program knows 2"
    );
}

#[tokio::test]
async fn a_file_of_something_else_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.redb");
    std::fs::write(&path, "not a database".repeat(1_000)).unwrap();
    let refused = open::file(&path, 1 << 20, 1).unwrap_err().to_string();
    assert!(refused.contains("history.redb"), "{refused}");
}

#[tokio::test]
async fn writes_that_wait_together_share_commits() {
    let disk = Disk::default();
    let store = on(&disk, &config(200, 1_024));
    let before = disk.syncs();
    let writes = (0..200).map(|time| append(&store, [record("7", time, "a", 1)].to_vec()));
    let tallies = join_all(writes).await;
    assert!(tallies.iter().all(|tally| *tally == (1, 0)));
    let syncs = disk.syncs() - before;
    assert!(syncs < 100, "{syncs} syncs for 200 writes");
}

#[tokio::test]
async fn more_writes_than_may_wait_are_shed() {
    let store = on(&Disk::default(), &config(200, 1));
    let writes = (0..50).map(|time| {
        store.write(Write {
            records: vec![record("7", time, "a", time as u64)],
            ..Write::default()
        })
    });
    let mut acknowledged = Vec::new();
    for (time, answer) in join_all(writes).await.into_iter().enumerate() {
        match answer {
            Ok(_) => acknowledged.push(time as u64),
            Err(shed) => assert_eq!(shed.to_string(), "the queue of 1 writes is full"),
        }
    }
    assert!(acknowledged.len() < 50, "nothing was shed");
    assert_eq!(items(&store, "7").await, acknowledged);
}

#[tokio::test]
async fn a_full_disk_acknowledges_nothing_and_recall_lives() {
    let disk = Disk::default();
    let store = on(&disk, &config(10, 8));
    let mut writable = store.shared.writable.subscribe();
    append(&store, vec![record("7", 1, "a", 5)]).await;
    assert_eq!(items(&store, "7").await, [5]);

    disk.set_full(true);
    let write = || Write {
        records: vec![record("8", 1, "a", 6)],
        ..Write::default()
    };
    assert!(matches!(store.write(write()).await, Err(Error::History(_))));
    wait_until(&mut writable, false).await;
    assert!(matches!(store.write(write()).await, Err(Error::History(_))));
    assert_eq!(items(&store, "7").await, [5]);

    disk.set_full(false);
    wait_until(&mut writable, true).await;
    assert_eq!(items(&store, "8").await, [0; 0]);
    assert_eq!(append(&store, write().records).await, (1, 0));
    assert_eq!(items(&store, "8").await, [6]);
    assert_eq!(items(&store, "7").await, [5]);
}

async fn wait_until(writable: &mut watch::Receiver<bool>, state: bool) {
    let reached = writable.wait_for(|writable| *writable == state);
    tokio::time::timeout(Duration::from_secs(20), reached)
        .await
        .unwrap()
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Writes of few users, times and ids, so that keys meet often; an item follows from its key.
    #[test]
    fn whatever_is_written_the_newest_keys_are_kept_once_each(
        keep in 1_usize..6,
        writes in prop::collection::vec(
            prop::collection::vec((0_u8..3, 1_i64..9, 0_u8..3), 0..8),
            0..12,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = keeping(keep);
            let mut expected: BTreeMap<String, BTreeSet<(i64, String)>> = BTreeMap::new();
            for write in writes {
                let mut records = Vec::new();
                for (user, time, id) in write {
                    let (user, id) = (user.to_string(), id.to_string());
                    records.push(record(&user, time, &id, item_of(time, &id)));
                    expected.entry(user).or_default().insert((time, id));
                }
                let sent = records.len() as u64;
                let (recorded, duplicates) = append(&store, records).await;
                assert_eq!(recorded + duplicates, sent);
            }
            for (user, keys) in expected {
                let history = store.read(&user).await.unwrap();
                let kept: Vec<_> = history.events.iter().map(|e| (e.time, e.event_id.clone())).collect();
                let newest: Vec<_> = keys.iter().rev().take(keep).rev().cloned().collect();
                assert_eq!(kept, newest);
                let all: BTreeSet<u64> = keys.iter().map(|(time, id)| item_of(*time, id)).collect();
                assert_eq!(history.seen, all.into_iter().collect::<Vec<_>>());
            }
        });
    }
}

#[tokio::test]
async fn a_writer_that_is_gone_acknowledges_nothing() {
    let store = keeping(10);
    let writable = store.shared.writable.subscribe();
    assert!(*writable.borrow());
    drop(store);
    assert!(!*writable.borrow());
}

fn item_of(time: i64, id: &str) -> u64 {
    time as u64 % 1_000 * 10 + id.len() as u64 + u64::from(id.as_bytes()[0])
}
