//! Behaviours of whole users: deleted, copied from store to store, shortened, and brought from an older schema.

use redb::ReadableDatabase as _;

use super::*;
use crate::{
    history::{Removal, Removed, UserCopy},
    redb_store::migrate,
    retention,
};

/// A time after every deletion, in seconds since the epoch.
const LATER: i64 = 1 << 40;

async fn copies(store: &RedbStore) -> Vec<UserCopy> {
    let page = store.page(everyone()).await.unwrap();
    assert_eq!(page.next, None);
    page.users
}

async fn take(store: &RedbStore, copies: Vec<UserCopy>) -> Tally {
    let write = Write {
        copies,
        ..Write::default()
    };
    store.write(write).await.unwrap()
}

async fn remove(store: &RedbStore, user: &str, removal: Removal) -> Tally {
    let write = Write {
        removals: vec![(user.to_owned(), removal)],
        ..Write::default()
    };
    store.write(write).await.unwrap()
}

async fn put_profile(store: &RedbStore, user: &str, gender: &str) {
    let profile = Features::from([("gender".to_owned(), gender.into())]);
    let write = Write {
        profiles: vec![(user.to_owned(), profile)],
        ..Write::default()
    };
    store.write(write).await.unwrap();
}

#[tokio::test]
async fn nothing_is_left_of_a_deleted_user_but_that() {
    let store = keeping(2);
    let three = (1..4).map(|time| record("7", time, "a", time as u64));
    append(&store, three.collect()).await;
    append(&store, vec![record("70", 1, "a", 5)]).await;
    put_profile(&store, "7", "F").await;
    assert_eq!(items(&store, "7").await, [2, 3]);

    let tally = remove(&store, "7", Removal::Delete).await;
    let removed = Removed {
        users: 1,
        events: 2,
        seen: 3,
        profiles: 1,
    };
    assert_eq!(tally.removed, removed);
    let left = History {
        arrived: tally.arrived,
        ..History::default()
    };
    assert_eq!(*store.read("7").await.unwrap(), left);
    assert_eq!(items(&store, "70").await, [5]);
    let stored = copies(&store).await;
    assert_eq!(stored[0].user, "7");
    assert_eq!(stored[0].deleted, tally.arrived);

    // What is of before is sent again, and something new comes.
    assert_eq!(append(&store, vec![record("7", 3, "a", 3)]).await, (0, 1));
    append(&store, vec![record("7", LATER, "a", 9)]).await;
    assert_eq!(items(&store, "7").await, [9]);
    assert_eq!(seen(&store, "7").await, [9]);
}

#[tokio::test]
async fn a_copy_from_before_a_deletion_brings_nothing_back() {
    let store = keeping(10);
    append(&store, vec![record("7", 1, "a", 5)]).await;
    put_profile(&store, "7", "F").await;
    let before = copies(&store).await;
    remove(&store, "7", Removal::Delete).await;
    append(&store, vec![record("7", LATER, "b", 6)]).await;
    take(&store, before).await;
    let history = store.read("7").await.unwrap();
    assert_eq!(items(&store, "7").await, [6]);
    assert_eq!(history.seen, [6]);
    assert_eq!(history.profile, None);
}

#[tokio::test]
async fn a_deletion_travels_and_spares_what_came_after_it() {
    let (old, new) = (keeping(10), keeping(10));
    append(&old, vec![record("7", 1, "a", 5)]).await;
    take(&new, copies(&old).await).await;
    remove(&old, "7", Removal::Delete).await;
    append(&new, vec![record("7", LATER, "b", 6)]).await;
    take(&new, copies(&old).await).await;
    assert_eq!(items(&new, "7").await, [6]);
    assert_eq!(seen(&new, "7").await, [6]);
}

#[tokio::test]
async fn a_member_that_owns_a_user_deletes_what_a_former_owner_with_a_clock_ahead_still_has() {
    let (old, new) = (keeping(10), keeping(10));
    append(&old, vec![record("7", LATER, "a", 5)]).await;
    take(&new, copies(&old).await).await;
    // The former owner's clock is two minutes ahead, and it takes another event before it goes by the new MEMBERS.
    let ahead = Write {
        records: vec![record("7", LATER, "b", 6)],
        arrives_after: old.arrived() + 120_000_000,
        ..Write::default()
    };
    let floor = Write {
        arrives_after: old.arrived() + 300_000_000,
        ..Write::default()
    };
    old.write(ahead).await.unwrap();
    new.write(floor).await.unwrap();
    remove(&new, "7", Removal::Delete).await;
    take(&new, copies(&old).await).await;
    assert!(items(&new, "7").await.is_empty());
    assert!(seen(&new, "7").await.is_empty());
}

#[tokio::test]
async fn a_forgotten_user_leaves_no_trace() {
    let store = keeping(10);
    append(&store, vec![record("7", 1, "a", 5)]).await;
    let removed = remove(&store, "7", Removal::Forget).await.removed;
    assert_eq!((removed.users, removed.events, removed.seen), (1, 1, 1));
    assert!(copies(&store).await.is_empty());
    assert_eq!(*store.read("7").await.unwrap(), History::default());
}

#[tokio::test]
async fn pages_go_through_all_users_in_order_and_skip_what_is_not_wanted() {
    let store = keeping(10);
    let names: Vec<String> = (0..5_000).map(|user| format!("{user:04}")).collect();
    let records = names.iter().map(|name| record(name, 1, "a", 1));
    append(&store, records.collect()).await;
    let mark = store.arrived();
    append(
        &store,
        vec![record("0002", 2, "a", 1), record("4999", 2, "a", 1)],
    )
    .await;
    let mut found = Vec::new();
    for (arrived_after, wanted) in [(0, "7"), (mark, "")] {
        let mut selection = Selection {
            arrived_after,
            wanted: Arc::new(move |user| user.ends_with(wanted)),
            ..everyone()
        };
        loop {
            let page = store.page(selection.clone()).await.unwrap();
            found.extend(page.users.into_iter().map(|copy| copy.user));
            match page.next {
                Some(next) => selection.after = next,
                None => break,
            }
        }
    }
    let sevens = names.iter().filter(|name| name.ends_with('7')).cloned();
    let late = ["0002", "4999"].map(str::to_owned);
    assert_eq!(found, sevens.chain(late).collect::<Vec<_>>());
}

#[tokio::test]
async fn arrivals_grow_even_after_a_copy_from_a_clock_ahead() {
    let store = keeping(10);
    append(&store, vec![record("7", 1, "a", 5)]).await;
    let mut ahead = copies(&store).await;
    ahead[0].arrived += 1 << 40;
    let ahead_of_all = ahead[0].arrived;
    take(&store, ahead).await;
    let write = Write {
        records: vec![record("8", 1, "a", 5)],
        ..Write::default()
    };
    let tally = store.write(write).await.unwrap();
    assert!(tally.arrived > ahead_of_all);
    assert_eq!(store.arrived(), tally.arrived);
}

#[tokio::test]
async fn what_is_older_than_it_may_get_is_removed_for_good() {
    let store = keeping(10);
    let times = [100, 200, 300].map(|time| record("7", time, "a", time as u64));
    append(&store, times.to_vec()).await;
    append(&store, vec![record("8", 250, "a", 1)]).await;
    let removed = retention::shorten(&store, 250).await.unwrap();
    assert_eq!((removed.users, removed.events, removed.seen), (1, 2, 0));
    assert_eq!(items(&store, "7").await, [300]);
    // The items seen arrived just now, however old the events are.
    assert_eq!(seen(&store, "7").await, [100, 200, 300]);
    let after_all = (store.arrived() / 1_000_000) as i64 + 2;
    let removed = retention::shorten(&store, after_all).await.unwrap();
    assert_eq!((removed.users, removed.events, removed.seen), (2, 2, 4));
    assert_eq!(
        retention::shorten(&store, after_all).await.unwrap(),
        Removed::default()
    );
}

#[tokio::test]
async fn an_epoch_that_is_settled_stays_so_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let config = HistoryConfig {
        path: dir.path().join("history.redb"),
        ..config(10, 8)
    };
    for (settles, settled) in [(3, 3), (2, 3), (0, 3)] {
        let store = RedbStore::open(&config, 1).unwrap();
        let write = Write {
            settles,
            ..Write::default()
        };
        let arrived = store.write(write).await.unwrap().arrived;
        assert_eq!(store.settled(), settled);
        drop(store);
        let store = RedbStore::open(&config, 1).unwrap();
        assert_eq!((store.settled(), store.arrived()), (settled, arrived));
    }
}

#[tokio::test]
async fn a_history_of_schema_1_is_migrated_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.redb");
    let database = Builder::new().create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut meta = transaction.open_table(schema::META).unwrap();
        meta.insert(schema::SCHEMA, 1).unwrap();
        let mut events = transaction.open_table(schema::EVENTS).unwrap();
        events.insert(("7", 1, "a"), (5, "rating", 4.5, 0)).unwrap();
        let mut seen = transaction.open_table(migrate::SEEN_1).unwrap();
        seen.insert(("7", 4), ()).unwrap();
        seen.insert(("7", 5), ()).unwrap();
        let mut users = transaction.open_table(schema::USERS).unwrap();
        users.insert("7", (1, 2, 2)).unwrap();
        let mut profiles = transaction.open_table(migrate::PROFILES_1).unwrap();
        let json = br#"{"gender":"F"}"#.as_slice();
        profiles.insert("8", json).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);

    let config = HistoryConfig {
        path,
        ..config(10, 8)
    };
    let store = RedbStore::open(&config, 4).unwrap();
    assert_eq!(store.settled(), 4);
    assert_eq!(items(&store, "7").await, [5]);
    let other = keeping(10);
    take(&other, copies(&store).await).await;
    assert_eq!(
        copies(&other).await[0].events,
        copies(&store).await[0].events
    );
    assert_eq!(seen(&store, "7").await, [4, 5]);
    let profile = store.read("8").await.unwrap().profile.clone().unwrap();
    assert_eq!(profile["gender"], "F".into());
    let users: Vec<_> = copies(&store)
        .await
        .into_iter()
        .map(|copy| copy.user)
        .collect();
    assert_eq!(users, ["7", "8"]);
    let database = store.shared.database().unwrap();
    let transaction = database.begin_read().unwrap();
    assert!(transaction.open_table(migrate::SEEN_1).is_err());
    drop((transaction, database, store));
    let again = RedbStore::open(&config, 5).unwrap();
    assert_eq!(again.settled(), 4);
    assert_eq!(seen(&again, "7").await, [4, 5]);
}

/// What a store is told in the proptest below; a key's item and value follow from the key.
#[derive(Clone, Debug)]
enum Step {
    Record(usize, u8, i64, u8),
    Profile(usize, u8),
    Delete(usize, u8),
    /// From the first to the second.
    Copy(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (store, user) = (0_usize..3, 0_u8..2);
    prop_oneof![
        6 => (store.clone(), user.clone(), LATER..LATER + 5, 0_u8..2).prop_map(|(s, u, t, i)| Step::Record(s, u, t, i)),
        1 => (store.clone(), user.clone()).prop_map(|(s, u)| Step::Profile(s, u)),
        1 => (store.clone(), user).prop_map(|(s, u)| Step::Delete(s, u)),
        2 => (store.clone(), store).prop_map(|(a, b)| Step::Copy(a, b)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Stores that copied from each other, in whatever order, hold the same users at last.
    #[test]
    fn copies_become_one_in_whatever_order_they_meet(
        steps in prop::collection::vec(step(), 0..24),
        order in Just((0..3_usize).flat_map(|a| (0..3).map(move |b| (a, b))).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // As many as can be: what is too old to be kept depends on what came first.
            let stores = [keeping(100), keeping(100), keeping(100)];
            for step in steps {
                match step {
                    Step::Record(store, user, time, id) => {
                        let item = item_of(time, &id.to_string());
                        let event = record(&user.to_string(), time, &id.to_string(), item);
                        append(&stores[store], vec![event]).await;
                    }
                    Step::Profile(store, user) => put_profile(&stores[store], &user.to_string(), "F").await,
                    Step::Delete(store, user) => {
                        remove(&stores[store], &user.to_string(), Removal::Delete).await;
                    }
                    Step::Copy(from, to) => {
                        take(&stores[to], copies(&stores[from]).await).await;
                    }
                }
            }
            for _ in 0..2 {
                for (from, to) in &order {
                    take(&stores[*to], copies(&stores[*from]).await).await;
                }
            }
            let mut all = Vec::new();
            for store in &stores {
                all.push(copies(store).await);
            }
            assert_eq!(all[0], all[1]);
            assert_eq!(all[0], all[2]);
        });
    }
}
