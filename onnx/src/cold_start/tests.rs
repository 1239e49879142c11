#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;

use encoder::features::{CatalogItem, Value};

use super::*;
use crate::dataset::bad_lines::BadLines;
use crate::dataset::{EventRecord, UserRecord};

const ITEMS: u32 = 120;

/// Users who stay within a genre, of which there are twelve.
fn genres() -> Dataset {
    let users = (0..80).map(|id: u32| UserRecord {
        id: id.to_string(),
        features: Default::default(),
    });
    let items = (0..ITEMS).map(|index| CatalogItem {
        id: u64::from(index) + 100,
        features: [(
            "genres".to_owned(),
            Value::List(vec![format!("g{}", index % 12)]),
        )]
        .into(),
        ..CatalogItem::default()
    });
    let event = |n: u32| {
        let (user, step) = (n / 10, n % 10);
        // Ten items a genre, each user in an order of their own.
        let place = (step * [1, 3, 7, 9][user as usize % 4] + user / 12) % 10;
        EventRecord {
            user,
            item: user % 12 + 12 * place,
            kind: 0,
            value: 4.0,
            time: i64::from(step) * 60,
            event_id: u64::from(n),
        }
    };
    Dataset::new(
        "genres",
        users.collect(),
        items.collect(),
        vec!["rating".into()],
        (0..800).map(event).collect(),
        BadLines::default(),
    )
}

fn hidden(dataset: &Dataset, seed: u64) -> (Split, Hidden) {
    let split = Split::new(dataset, ItemSet::R);
    let hidden = Hidden::new(dataset, &split, seed);
    (split, hidden)
}

#[test]
fn training_sees_no_hidden_item_and_nothing_later_than_the_cut() {
    let dataset = genres();
    let (split, hidden) = hidden(&dataset, 3);
    assert_eq!(hidden.items(), split.items.len() / 10);
    let trained: HashSet<u32> = hidden
        .training
        .events
        .iter()
        .map(|event| event.item)
        .collect();
    assert!(!hidden.cases.is_empty());
    for case in &hidden.cases {
        assert!(!trained.contains(&split.items[case.item as usize]));
        assert!(
            hidden
                .cases
                .iter()
                .all(|other| !case.history.contains(&other.item))
        );
    }
    let latest = hidden.training.events.iter().map(|event| event.time).max();
    assert_eq!(latest, Some(8 * 60));
}

#[test]
fn another_seed_hides_other_items_and_the_same_the_same() {
    let dataset = genres();
    assert_eq!(
        hidden(&dataset, 3).1.training.hash,
        hidden(&dataset, 3).1.training.hash
    );
    assert_ne!(
        hidden(&dataset, 3).1.training.hash,
        hidden(&dataset, 4).1.training.hash
    );
}

#[test]
fn the_history_of_a_case_is_what_came_before_it_on_visible_items() {
    let dataset = genres();
    let (split, hidden) = hidden(&dataset, 3);
    let case = &hidden.cases[0];
    let sequence = &split.users[case.user as usize];
    let position = sequence
        .items
        .iter()
        .position(|&item| item == case.item)
        .unwrap();
    assert!(
        case.positions
            .iter()
            .all(|&before| (before as usize) < position)
    );
    let user = case.user(&dataset, &split, 4);
    assert_eq!(user.history.len(), 5.min(case.positions.len()));
    let newest = user.history.last().unwrap();
    assert_eq!(
        newest.item,
        dataset.items[split.items[*case.history.last().unwrap() as usize] as usize].id
    );
}

#[test]
fn content_alone_finds_hidden_items_of_the_user_s_genre() {
    let text = include_str!("../../towers/content.toml")
        .replace(r#"["genres", "year"]"#, r#"["genres"]"#)
        .replace("dim = 64", "dim = 16")
        .replace("history = 50", "history = 6")
        .replace("batch = 64", "batch = 8")
        .replace("warmup = 100", "warmup = 5")
        .replace("rate = 0.002", "rate = 0.01");
    let recipe = Recipe::parse(&text).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let dataset = genres();
    let found = measure(&recipe, &dataset, dir.path(), &Overrides::default(), 3).unwrap();
    // A genre has ten items, of 120: those of the user's own come first, whether known or not.
    assert!(found.hidden.hr_10 > 0.8, "{found}");
    assert!(found.within_genre().unwrap() > found.popularity);
    assert!(found.to_string().contains("content alone"));
}
