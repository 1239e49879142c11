//! What is exported reads back as the samples that the protocol cuts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;

use parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::{List, ListAccessor as _, Row, RowAccessor as _},
};
use tempfile::TempDir;

use super::*;
use crate::dataset::generator;

/// One row as read back.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    split: String,
    user: String,
    gender: String,
    history: Vec<(u64, f32, i64)>,
    positive: (u64, f32, i64),
    negatives: Vec<u64>,
}

fn small() -> Dataset {
    generator::generate(&generator::Options {
        users: 40,
        items: 120,
        events: 2_000,
        ..Default::default()
    })
}

fn options() -> Options {
    Options {
        items: ItemSet::R,
        history: 7,
        negatives: 3,
        seed: 5,
    }
}

fn exported(dataset: &Dataset, options: &Options) -> (TempDir, Exported) {
    let dir = tempfile::tempdir().unwrap();
    let exported = export(dataset, dir.path(), options).unwrap();
    (dir, exported)
}

fn samples(dir: &Path) -> Vec<Sample> {
    let reader = SerializedFileReader::new(File::open(dir.join(SAMPLES)).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| sample(&row.unwrap())).collect()
}

fn sample(row: &Row) -> Sample {
    let at = |name: &str| {
        let mut names = row.get_column_iter().map(|(name, _)| name.as_str());
        names.position(|found| found == name).unwrap()
    };
    let ids = |list: &List| {
        (0..list.len())
            .map(|i| list.get_ulong(i).unwrap())
            .collect::<Vec<_>>()
    };
    let list = |name: &str| row.get_list(at(name)).unwrap();
    let (values, times) = (list("history_values"), list("history_times"));
    let history = ids(list("history_items")).into_iter().enumerate();
    Sample {
        split: row.get_string(at("split")).unwrap().clone(),
        user: row.get_string(at("user")).unwrap().clone(),
        gender: row.get_string(at("user_gender")).unwrap().clone(),
        history: history
            .map(|(i, item)| {
                (
                    item,
                    values.get_float(i).unwrap(),
                    times.get_long(i).unwrap(),
                )
            })
            .collect(),
        positive: (
            row.get_ulong(at("item")).unwrap(),
            row.get_float(at("value")).unwrap(),
            row.get_long(at("time")).unwrap(),
        ),
        negatives: ids(list("negatives")),
    }
}

#[test]
fn every_event_but_a_users_first_is_a_positive_after_what_came_before_it() {
    let dataset = small();
    let (dir, counts) = exported(&dataset, &options());
    let split = Split::new(&dataset, ItemSet::R);
    let found = samples(dir.path());
    let mut left = found.iter();
    for user in &split.users {
        let record = &dataset.users[user.user as usize];
        for at in 1..user.items.len() {
            let sample = left.next().unwrap();
            assert_eq!(sample.user, record.id);
            assert_eq!(
                Value::from(sample.gender.as_str()),
                record.features["gender"]
            );
            assert_eq!(sample.positive, event(&dataset, &split, user, at));
            let history = at.saturating_sub(7)..at;
            let expected: Vec<_> = history
                .map(|at| event(&dataset, &split, user, at))
                .collect();
            assert_eq!(sample.history, expected);
            let part = match user.items.len() - at {
                1 => "test",
                2 => "validation",
                _ => "train",
            };
            assert_eq!(sample.split, part);
        }
    }
    assert!(left.next().is_none());
    let of = |part: &str| found.iter().filter(|sample| sample.split == part).count() as u64;
    assert_eq!(
        (counts.train, counts.validation, counts.test),
        (of("train"), 40, 40)
    );
}

#[test]
fn negatives_are_drawn_by_the_seed_and_never_watched_in_training() {
    let dataset = small();
    let (dir, _) = exported(&dataset, &options());
    let split = Split::new(&dataset, ItemSet::R);
    let watched: HashSet<(String, u64)> = split
        .users
        .iter()
        .flat_map(|user| {
            let id = dataset.users[user.user as usize].id.clone();
            let items = user.training().iter();
            let item = |item: &u32| (id.clone(), item_id(&dataset, &split, *item));
            items.map(item).collect::<Vec<_>>()
        })
        .collect();
    let found = samples(dir.path());
    for sample in &found {
        let expected = if sample.split == "train" { 3 } else { 0 };
        assert_eq!(sample.negatives.len(), expected);
        for negative in &sample.negatives {
            assert!(!watched.contains(&(sample.user.clone(), *negative)));
        }
    }
    let drawn: HashSet<u64> = found
        .iter()
        .flat_map(|sample| sample.negatives.clone())
        .collect();
    assert!(drawn.len() > split.items.len() / 2);
    let (again, _) = exported(&dataset, &options());
    assert_eq!(samples(again.path()), found);
    let other = Options {
        seed: 6,
        ..options()
    };
    assert_ne!(samples(exported(&dataset, &other).0.path()), found);
}

#[test]
fn the_vocabulary_and_the_events_are_those_of_the_item_set() {
    let dataset = small();
    let headline = Options {
        items: ItemSet::S,
        ..options()
    };
    let (dir, _) = exported(&dataset, &headline);
    let split = Split::new(&dataset, ItemSet::S);
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let items = read("vocabulary/item.id.txt");
    let mut lines = items.lines();
    assert_eq!([lines.next(), lines.next()], [Some("<pad>"), Some("<unk>")]);
    let ids: Vec<u64> = lines.map(|line| line.parse().unwrap()).collect();
    let expected = (0..split.items.len() as u32).map(|dense| item_id(&dataset, &split, dense));
    assert_eq!(ids, expected.collect::<Vec<_>>());
    assert!(read("vocabulary/user.gender.txt").starts_with("<pad>\n<unk>\nF\nM\n"));
    let events = read("events.csv");
    assert_eq!(events.lines().next(), Some("user,item,value,time,split"));
    assert_eq!(events.lines().count(), 1 + split.events());
    assert_eq!(events.matches(",test\n").count(), split.users.len());
    let summary: serde_json::Value = serde_json::from_str(&read(SUMMARY)).unwrap();
    assert_eq!(summary["dataset_hash"], dataset.hash);
    assert_eq!(summary["options"]["items"], "S");
}

#[test]
fn a_feature_may_be_missing_or_a_list() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let specs = vec![
        Spec::new("maybe", Kind::Text, Arity::Optional),
        Spec::new("list", Kind::Text, Arity::List),
    ];
    let mut table = Table::create(&path, specs).unwrap();
    for (maybe, list) in [(None, vec![]), (Some("a"), vec!["b", "c"])] {
        table.columns[0].texts(maybe);
        table.columns[1].texts(list);
        table.end_row(&path).unwrap();
    }
    table.close(&path).unwrap();
    let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    let rows: Vec<String> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| row.unwrap().to_string())
        .collect();
    assert_eq!(
        rows,
        [
            r#"{maybe: null, list: []}"#,
            r#"{maybe: "a", list: ["b", "c"]}"#
        ]
    );
}
