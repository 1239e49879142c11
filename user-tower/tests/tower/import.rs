//! Importing a dataset: whole, repeatable, and clear about what it cannot read.

use generation::{placement, store::Members};
use indicatif::ProgressBar;
use user_tower::{
    export::{Exported, export},
    import::{Imported, import},
};

use crate::house::{EVENTS, Site, dataset, event};

fn lines(users: &[&str], each: u64) -> Vec<String> {
    let line = |user: &str, n: u64| format!("{user},{n},rating,4,{},{n:020}\n", 100 + n);
    let of = |user: &&str| (0..each).map(|n| line(user, n)).collect::<Vec<_>>();
    users.iter().flat_map(of).collect()
}

#[tokio::test]
async fn a_dataset_is_imported_whole_and_may_be_imported_again() {
    let site = Site::new();
    let mut tower = site.start(EVENTS).await;
    let users = ["1", "2", "3"];
    let data = dataset(site.dir.path(), &users, &lines(&users, 5_000));
    let bar = ProgressBar::hidden();
    let first = import(&data, &tower.uri, &bar).await.unwrap();
    let expected = Imported {
        recorded: 15_000,
        profiles: 3,
        ..Imported::default()
    };
    assert_eq!(first, expected);
    assert_eq!(bar.position(), bar.length().unwrap());
    let user = tower.get_user("2").await.unwrap();
    assert_eq!((user.history.len(), user.seen_items), (50, 5_000));
    assert_eq!(user.history[49].event_id, format!("{:020}", 4_999));
    assert_eq!(user.profile.unwrap().values.len(), 3);

    let again = import(&data, &tower.uri, &ProgressBar::hidden())
        .await
        .unwrap();
    assert_eq!(
        (again.recorded, again.duplicates, again.profiles),
        (0, 15_000, 3)
    );
    assert_eq!(tower.get_user("2").await.unwrap().history, user.history);
}

#[tokio::test]
async fn what_one_tower_exports_another_imports_whole() {
    let (from, to) = (Site::new(), Site::new());
    let mut tower = from.start(EVENTS).await;
    let users = ["1", "2", "3"];
    let data = dataset(from.dir.path(), &users, &lines(&users, 1_500));
    let bar = ProgressBar::hidden();
    import(&data, &tower.uri, &bar).await.unwrap();
    tower.delete("3").await;
    let out = from.dir.path().join("export");
    let exported = export(&out, &tower.uri, &bar).await.unwrap();
    let expected = Exported {
        users: 3,
        seen: 3_000,
        events: 400,
    };
    assert_eq!(exported, expected);

    let mut other = to.start(EVENTS).await;
    other
        .record(vec![event("3", 1 << 40, "x", 9)])
        .await
        .unwrap();
    let bar = ProgressBar::hidden();
    let first = import(&out, &other.uri, &bar).await.unwrap();
    assert_eq!((first.recorded, first.profiles, first.foreign), (400, 2, 0));
    assert_eq!(bar.position(), bar.length().unwrap());
    let again = import(&out, &other.uri, &ProgressBar::hidden())
        .await
        .unwrap();
    assert_eq!((again.recorded, again.duplicates), (0, 400));
    for user in ["1", "2"] {
        let (before, after) = (tower.get_user(user).await, other.get_user(user).await);
        assert_eq!(before.unwrap(), after.unwrap());
    }
    // What came after the deletion stays.
    assert_eq!(other.get_user("3").await.unwrap().history.len(), 1);

    let refused = export(&out, &tower.uri, &bar).await.unwrap_err();
    assert!(refused.to_string().contains("export"), "{refused}");
}

#[tokio::test]
async fn a_parquet_file_without_a_column_is_refused_by_both_names() {
    let site = Site::new();
    let tower = site.start(EVENTS).await;
    let out = site.dir.path().join("export");
    export(&out, &tower.uri, &ProgressBar::hidden())
        .await
        .unwrap();
    std::fs::copy(out.join("users.parquet"), out.join("events.parquet")).unwrap();
    let refused = import(&out, &tower.uri, &ProgressBar::hidden()).await;
    let refused = format!("{:#}", refused.unwrap_err());
    assert!(
        refused.contains("events.parquet has no column \"item\", it has [\"user\", \"profile\""),
        "{refused}"
    );
}

#[tokio::test]
async fn users_of_other_members_are_left_out_and_counted() {
    let site = Site::new();
    let members = Members {
        epoch: 1,
        members: vec!["user-tower-0".to_owned(), "user-tower-1".to_owned()],
    };
    site.store().swap_members(None, &members).await.unwrap();
    let tower = site.start(EVENTS).await;
    let users = ["1", "2", "3", "4", "5", "6", "7", "8"];
    let owned = |user: &&&str| placement::owner(user, &members.members) == Some("user-tower-0");
    let ours = users.iter().filter(owned).count() as u64;
    let data = dataset(site.dir.path(), &users, &lines(&users, 10));
    let done = import(&data, &tower.uri, &ProgressBar::hidden())
        .await
        .unwrap();
    assert_eq!((done.recorded, done.profiles), (ours * 10, ours));
    assert_eq!(done.foreign, (8 - ours) * 11);
}

#[tokio::test]
async fn a_line_that_cannot_be_read_is_named() {
    let site = Site::new();
    let tower = site.start(EVENTS).await;
    let mut bad = lines(&["1"], 3);
    bad.push("1,seven,rating,4,100,x\n".to_owned());
    let data = dataset(site.dir.path(), &["1"], &bad);
    let refused = import(&data, &tower.uri, &ProgressBar::hidden())
        .await
        .unwrap_err();
    let message = format!("{refused:#}");
    assert!(
        message.contains("events.csv") && message.contains("line: 5"),
        "{message}"
    );

    let data = dataset(site.dir.path(), &["1", "\"2"], &lines(&["1"], 3));
    let refused = import(&data, &tower.uri, &ProgressBar::hidden())
        .await
        .unwrap_err();
    assert!(
        format!("{refused:#}").contains("users.jsonl:2"),
        "{refused:#}"
    );
    let missing = site.dir.path().join("nothing");
    let refused = import(&missing, &tower.uri, &ProgressBar::hidden())
        .await
        .unwrap_err();
    assert!(
        format!("{refused:#}").contains("users.jsonl"),
        "{refused:#}"
    );
}

#[tokio::test]
async fn an_event_that_the_server_refuses_is_named() {
    let site = Site::new();
    let tower = site.start(EVENTS).await;
    let data = dataset(site.dir.path(), &["1"], &["1,3,rating,4,0,x\n".to_owned()]);
    let refused = import(&data, &tower.uri, &ProgressBar::hidden())
        .await
        .unwrap_err();
    assert!(
        format!("{refused:#}").contains("events[0].time"),
        "{refused:#}"
    );
}
