//! Moving users between members while all of them serve.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use generation::{
    placement,
    store::{Members, Store},
};
use proto::v1::{
    EmbedUsersRequest, GetUserRequest, RecordEventsRequest,
    event_service_client::EventServiceClient,
};
use service::{client::Connector, status};
use tonic::transport::Channel;
use user_tower::hand_over::hand_over;

use crate::house::{EVENTS, PATIENCE, Site, Tower, USERS, event, stored};

/// Towers of one store, each with a history of its own.
async fn towers(site: &Site, names: &[&str], service: &str) -> BTreeMap<String, Tower> {
    let mut towers = BTreeMap::new();
    for name in names {
        let mut config = site.config.clone();
        config.member = (*name).to_owned();
        config.history.path = site.dir.path().join(format!("{name}.redb"));
        towers.insert((*name).to_owned(), site.start_as(config, service).await);
    }
    towers
}

async fn members(store: &Store, epoch: u64, names: &[&str]) {
    let found = store.members().await.unwrap();
    let members = Members {
        epoch,
        members: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let version = found.map(|found| found.version);
    store
        .swap_members(version.as_ref(), &members)
        .await
        .unwrap();
}

fn addresses(towers: &BTreeMap<String, Tower>, names: &[&str]) -> BTreeMap<String, String> {
    let address = |name: &&str| ((*name).to_owned(), towers[*name].uri.clone());
    names.iter().map(address).collect()
}

/// Records one event after the other, each at its user's owner by the MEMBERS read last, again and again until it is
/// acknowledged; returns the (user, time) of all.
async fn record_until(
    store: Store,
    clients: BTreeMap<String, EventServiceClient<Channel>>,
    writer: usize,
    stop: Arc<AtomicBool>,
) -> Vec<(String, i64)> {
    let mut members = store.members().await.unwrap().unwrap().value;
    let mut acknowledged = Vec::new();
    for time in 1_i64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let user = format!("{writer}-{}", time % 40);
        loop {
            let owner = placement::owner(&user, &members.members).unwrap();
            let request = RecordEventsRequest {
                events: vec![event(&user, time, "a", time as u64)],
                members_epoch: members.epoch,
            };
            match clients[owner].clone().record_events(request).await {
                Ok(_) => break,
                Err(refused) => {
                    let reason = service::status::reason(&refused);
                    assert_eq!(reason.as_deref(), Some(status::MEMBERS_EPOCH), "{refused}");
                    members = store.members().await.unwrap().unwrap().value;
                }
            }
        }
        acknowledged.push((user, time));
    }
    acknowledged
}

/// The file that `TWOTOWER_TEST_MOVE_REPORT` names is told how many events were acknowledged, lost, and there twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn moving_users_to_a_third_member_under_traffic_loses_no_event_and_doubles_none() {
    let mut site = Site::new();
    site.config.history.keep = 1_000;
    let store = site.store();
    members(&store, 1, &["a", "b"]).await;
    let towers = towers(&site, &["a", "b", "c"], EVENTS).await;
    let clients = towers
        .iter()
        .map(|(name, tower)| (name.clone(), tower.events.clone()));
    let clients: BTreeMap<_, _> = clients.collect();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (store, clients, stop) = (store.clone(), clients.clone(), Arc::clone(&stop));
            tokio::spawn(record_until(store, clients, writer, stop))
        })
        .collect();
    // Traffic before, while and after.
    wait_for_event(&towers, "0-10").await;
    let all = addresses(&towers, &["a", "b", "c"]);
    let done = hand_over(
        &Connector::default(),
        &store,
        &all,
        &BTreeMap::new(),
        &BTreeSet::new(),
    )
    .await
    .unwrap();
    assert_eq!(done.epoch, 2);
    assert!(done.copied > 0 && done.forgotten > 0, "{done:?}");
    let fewer = addresses(&towers, &["b", "c"]);
    let leaving = addresses(&towers, &["a"]);
    let done = hand_over(
        &Connector::default(),
        &store,
        &fewer,
        &leaving,
        &BTreeSet::new(),
    )
    .await
    .unwrap();
    assert_eq!(done.epoch, 3);
    stop.store(true, Ordering::Relaxed);

    let names = ["b", "c"].map(str::to_owned);
    let mut expected: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for writer in writers {
        for (user, time) in writer.await.unwrap() {
            expected.entry(user).or_default().insert(time);
        }
    }
    let (mut all, mut lost, mut twice) = (0, 0, 0);
    for (user, times) in expected {
        let owner = placement::owner(&user, &names).unwrap();
        let request = GetUserRequest {
            user_id: user.clone(),
            newest: 1_000,
            members_epoch: 3,
        };
        let found = clients[owner].clone().get_user(request).await.unwrap();
        let found = found.into_inner().history;
        let different: BTreeSet<i64> = found.iter().map(|event| event.time).collect();
        all += times.len();
        lost += times.difference(&different).count();
        twice += found.len() - different.len();
        assert!(different.is_subset(&times), "{user}");
    }
    if let Ok(report) = std::env::var("TWOTOWER_TEST_MOVE_REPORT") {
        std::fs::write(report, format!("{all} {lost} {twice}")).unwrap();
    }
    assert_eq!((lost, twice), (0, 0), "of {all}");
}

/// Waits until a user has an event at one of the towers.
async fn wait_for_event(towers: &BTreeMap<String, Tower>, user: &str) {
    let there = async {
        loop {
            for tower in towers.values() {
                let request = GetUserRequest {
                    user_id: user.to_owned(),
                    ..GetUserRequest::default()
                };
                let found = tower.events.clone().get_user(request).await;
                if found.is_ok_and(|found| !found.into_inner().history.is_empty()) {
                    return;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, there).await.unwrap();
}

#[tokio::test]
async fn a_new_owner_says_that_a_history_may_be_stale_until_it_is_handed_over() {
    let site = Site::published().await;
    let store = site.store();
    members(&store, 1, &["a"]).await;
    let towers = towers(&site, &["a", "b"], USERS).await;
    let both = ["a", "b"].map(str::to_owned);
    let find = |name| {
        let mut users = (0..).map(|n: u32| n.to_string());
        users
            .find(|user| placement::owner(user, &both) == Some(name))
            .unwrap()
    };
    let (stays, moves) = (find("a"), find("b"));
    let events = vec![event(&stays, 1, "x", 2), event(&moves, 1, "x", 3)];
    let request = RecordEventsRequest {
        events,
        members_epoch: 1,
    };
    towers["a"]
        .events
        .clone()
        .record_events(request)
        .await
        .unwrap();

    // Somebody changes MEMBERS before anything is handed over.
    members(&store, 2, &["a", "b"]).await;
    let embed = async |name: &str, user: &str| {
        let request = EmbedUsersRequest {
            users: vec![stored(user)],
            members_epoch: 2,
            ..EmbedUsersRequest::default()
        };
        let answered = async {
            loop {
                // Until it goes by the new MEMBERS.
                if let Ok(answer) = towers[name]
                    .users
                    .clone()
                    .embed_users(request.clone())
                    .await
                {
                    return answer.into_inner().users.remove(0);
                }
            }
        };
        tokio::time::timeout(PATIENCE, answered).await.unwrap()
    };
    assert!(!embed("a", &stays).await.stale_history);
    let moved = embed("b", &moves).await;
    assert!(moved.stale_history && moved.seen.is_empty());

    let all = addresses(&towers, &["a", "b"]);
    let done = hand_over(
        &Connector::default(),
        &store,
        &all,
        &BTreeMap::new(),
        &BTreeSet::new(),
    )
    .await
    .unwrap();
    assert_eq!((done.epoch, done.copied, done.forgotten), (2, 1, 1));
    let moved = embed("b", &moves).await;
    assert_eq!(
        (moved.stale_history, moved.seen.as_slice()),
        (false, &[3][..])
    );
}

#[tokio::test]
async fn a_wrong_address_is_refused_before_anything_is_moved() {
    let site = Site::new();
    let store = site.store();
    members(&store, 1, &["a"]).await;
    let towers = towers(&site, &["a", "b"], EVENTS).await;
    let mut swapped = addresses(&towers, &["a", "b"]);
    swapped.insert("b".to_owned(), towers["a"].uri.clone());
    let refused = hand_over(
        &Connector::default(),
        &store,
        &swapped,
        &BTreeMap::new(),
        &BTreeSet::new(),
    )
    .await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.ends_with("is a, not b"), "{refused}");
    assert_eq!(store.members().await.unwrap().unwrap().value.epoch, 1);
}

#[tokio::test]
async fn users_of_a_lost_member_begin_anew_at_those_that_are_left() {
    let site = Site::new();
    let store = site.store();
    members(&store, 1, &["a", "b"]).await;
    let towers = towers(&site, &["a"], EVENTS).await;
    let lost = BTreeSet::from(["b".to_owned()]);
    let left = addresses(&towers, &["a"]);
    let done = hand_over(
        &Connector::default(),
        &store,
        &left,
        &BTreeMap::new(),
        &lost,
    )
    .await
    .unwrap();
    assert_eq!((done.epoch, done.copied), (2, 0));
    let both = ["a", "b"].map(str::to_owned);
    let mut users = (0..).map(|n: u32| n.to_string());
    let theirs = users
        .find(|user| placement::owner(user, &both) == Some("b"))
        .unwrap();
    let mut events = towers["a"].events.clone();
    let request = RecordEventsRequest {
        events: vec![event(&theirs, 1, "x", 2)],
        members_epoch: 2,
    };
    events.record_events(request).await.unwrap();
}

#[tokio::test]
async fn a_user_with_more_than_a_message_holds_is_moved_whole() {
    let site = Site::new();
    let store = site.store();
    members(&store, 1, &["a"]).await;
    let towers = towers(&site, &["a", "b"], EVENTS).await;
    let both = ["a", "b"].map(str::to_owned);
    let mut users = (0..).map(|n: u32| n.to_string());
    let user = users
        .find(|user| placement::owner(user, &both) == Some("b"))
        .unwrap();
    let mut events = towers["a"].events.clone();
    for chunk in 0..70 {
        let times = (1..=1_000).map(|n| chunk * 1_000 + n);
        let items = times.map(|time| event(&user, time, "x", u64::MAX - time as u64));
        let request = RecordEventsRequest {
            events: items.collect(),
            members_epoch: 1,
        };
        events.record_events(request).await.unwrap();
    }
    let all = addresses(&towers, &["a", "b"]);
    let done = hand_over(
        &Connector::default(),
        &store,
        &all,
        &BTreeMap::new(),
        &BTreeSet::new(),
    )
    .await
    .unwrap();
    assert_eq!(done.forgotten, 1);
    let request = GetUserRequest {
        user_id: user,
        members_epoch: 2,
        ..GetUserRequest::default()
    };
    let moved = towers["b"].events.clone().get_user(request).await.unwrap();
    assert_eq!(moved.into_inner().seen_items, 70_000);
}

#[tokio::test]
async fn a_member_that_is_not_listed_is_named_and_nothing_changes() {
    let site = Site::new();
    let store = site.store();
    members(&store, 1, &["a", "b"]).await;
    let towers = towers(&site, &["a"], EVENTS).await;
    let refused = hand_over(
        &Connector::default(),
        &store,
        &addresses(&towers, &["a"]),
        &BTreeMap::new(),
        &BTreeSet::new(),
    )
    .await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.starts_with("b is a member now"), "{refused}");
    assert_eq!(store.members().await.unwrap().unwrap().value.epoch, 1);
}
