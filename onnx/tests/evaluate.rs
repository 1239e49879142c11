//! Evaluation over a true artifact: what ONNX Runtime and the ranking give is what can be told in advance.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use encoder::{
    artifact::Artifact,
    features::{CatalogItem, Event, User},
    sample::{Reads, Sample},
};
use onnx::{
    dataset::{
        Dataset, EventRecord, UserRecord,
        bad_lines::BadLines,
        split::{ItemSet, Split},
    },
    evaluate::{self, Error, Options},
};

/// 30 users with 6 events each, on items `first..first + 20`; item `first` has one event only.
fn dataset(first: u64) -> Dataset {
    let item = |id| CatalogItem {
        id,
        title: format!("Item {id}"),
        ..Default::default()
    };
    let user = |id: u32| UserRecord {
        id: id.to_string(),
        features: Default::default(),
    };
    let mut events = Vec::new();
    for user in 0..30_u32 {
        for step in 0..6_u32 {
            let rare = user == 0 && step == 5;
            events.push(EventRecord {
                user,
                item: if rare {
                    0
                } else {
                    1 + (user * 7 + step * step + step) % 19
                },
                kind: 0,
                value: 4.0,
                time: 3_600 * i64::from(step),
                event_id: events.len() as u64,
            });
        }
    }
    Dataset::new(
        "twenty",
        (0..30).map(user).collect(),
        (first..first + 20).map(item).collect(),
        vec!["rating".into()],
        events,
        BadLines::default(),
    )
}

/// Share of users whose last event is among the first 10, seen items excluded, by the sample's own vectors.
fn hit_rate(sample: &Sample, dataset: &Dataset, set: ItemSet) -> f64 {
    let split = Split::new(dataset, set);
    let id = |dense: u32| dataset.items[split.items[dense as usize] as usize].id;
    let is_hit = |sequence: &&onnx::dataset::split::Sequence| {
        let (&target, history) = sequence.items.split_last().unwrap();
        let event = |(&item, &time): (&u32, &i64)| Event {
            item: id(item),
            kind: String::new(),
            value: 0.0,
            time,
        };
        let user = sample.user(&User {
            history: history.iter().zip(&sequence.times).map(event).collect(),
            time: sequence.times.last().copied(),
            ..Default::default()
        });
        let score = |dense: u32| -> f32 {
            sample
                .row(id(dense))
                .iter()
                .zip(&user)
                .map(|(a, b)| a * b)
                .sum()
        };
        let others =
            (0..split.items.len() as u32).filter(|item| *item != target && !history.contains(item));
        !history.contains(&target)
            && sample.items.contains(&id(target))
            && others
                .filter(|&item| sample.items.contains(&id(item)) && score(item) >= score(target))
                .count()
                < 10
    };
    split.users.iter().filter(is_hit).count() as f64 / split.users.len() as f64
}

#[test]
fn figures_are_those_of_the_artifact_s_vectors() {
    let dir = tempfile::tempdir().unwrap();
    let sample = Sample::default();
    let space = sample.write(dir.path()).unwrap();
    let dataset = dataset(1);
    let evaluation = evaluate::evaluate(dir.path(), &dataset, &Options::default()).unwrap();
    assert_eq!(evaluation.space, space);
    for (set, candidates) in [(ItemSet::S, 19), (ItemSet::R, 20)] {
        let row = evaluation.row("artifact", set, true).unwrap();
        assert_eq!(
            (row.candidates, row.unknown, row.figures.users),
            (candidates, 0, 30)
        );
        assert!(
            (row.figures.hr_10 - hit_rate(&sample, &dataset, set)).abs() < 1e-9,
            "{row:?}"
        );
    }
    // An index of 19 rows that is asked for all of them finds all of them.
    assert_eq!(evaluation.ann.unwrap().recall_100, 1.0);
}

#[test]
fn a_model_that_reads_ages_is_told_the_time_of_the_event_held_back() {
    let dir = tempfile::tempdir().unwrap();
    let sample = Sample {
        reads: Reads::Ages,
        ..Sample::default()
    };
    sample.write(dir.path()).unwrap();
    assert_eq!(onnx::check::check(dir.path()), Vec::<String>::new());
    let dataset = dataset(1);
    let evaluation = evaluate::evaluate(dir.path(), &dataset, &Options::default()).unwrap();
    let row = evaluation.row("artifact", ItemSet::S, true).unwrap();
    let (timed, untimed) = (
        hit_rate(&sample, &dataset, ItemSet::S),
        hit_rate(&Sample::default(), &dataset, ItemSet::S),
    );
    assert_ne!(timed, untimed);
    assert!((row.figures.hr_10 - timed).abs() < 1e-9, "{row:?}");
    assert_eq!(evaluation.to_json()["request_time"], true);
    let words = "knows the time of the event held back";
    assert!(evaluation.to_string().contains(words));
}

#[test]
fn a_model_that_reads_item_vectors_gets_those_of_its_own_item_tower() {
    let dir = tempfile::tempdir().unwrap();
    let sample = Sample {
        items: (2..=20).collect(),
        reads: Reads::Vectors,
        ..Sample::default()
    };
    sample.write(dir.path()).unwrap();
    let dataset = dataset(1);
    let evaluation = evaluate::evaluate(dir.path(), &dataset, &Options::default()).unwrap();
    for set in [ItemSet::S, ItemSet::R] {
        let row = evaluation.row("artifact", set, true).unwrap();
        let expected = hit_rate(&sample, &dataset, set);
        assert!((row.figures.hr_10 - expected).abs() < 1e-9, "{row:?}");
    }
}

#[test]
fn an_item_that_the_model_does_not_know_is_a_miss() {
    let dir = tempfile::tempdir().unwrap();
    let sample = Sample {
        items: (2..=20).collect(),
        ..Sample::default()
    };
    sample.write(dir.path()).unwrap();
    let dataset = dataset(1);
    let evaluation = evaluate::evaluate(dir.path(), &dataset, &Options::default()).unwrap();
    assert_eq!(
        evaluation
            .row("artifact", ItemSet::S, true)
            .unwrap()
            .unknown,
        0
    );
    let row = evaluation.row("artifact", ItemSet::R, true).unwrap();
    assert_eq!(row.unknown, 1);
    assert!(
        (row.figures.hr_10 - hit_rate(&sample, &dataset, ItemSet::R)).abs() < 1e-9,
        "{row:?}"
    );
    assert!(
        evaluation
            .to_string()
            .contains("1 of these items are unknown to the model")
    );
}

#[test]
fn an_artifact_of_another_dataset_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Sample::default().write(dir.path()).unwrap();
    let error = evaluate::evaluate(dir.path(), &dataset(100), &Options::default()).unwrap_err();
    assert!(matches!(error, Error::Foreign { items: 19, .. }), "{error}");
}

#[test]
fn the_report_is_listed_and_leaves_the_space_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let space = Sample::default().write(dir.path()).unwrap();
    let evaluation = evaluate::evaluate(dir.path(), &dataset(1), &Options::default()).unwrap();
    evaluate::report(&evaluation, dir.path()).unwrap();
    let artifact = Artifact::open(dir.path()).unwrap();
    assert_eq!(artifact.space(), space);
    assert_eq!(
        artifact.report().unwrap()["hr@10"],
        evaluation.rows[0].figures.hr_10
    );
    // And once more over a directory that has one already.
    evaluate::report(&evaluation, dir.path()).unwrap();
}

#[test]
fn the_json_names_the_headline_s_figures() {
    let dir = tempfile::tempdir().unwrap();
    Sample::default().write(dir.path()).unwrap();
    let evaluation = evaluate::evaluate(dir.path(), &dataset(1), &Options::default()).unwrap();
    let json = evaluation.to_json();
    for key in [
        "hr@10",
        "ndcg@10",
        "hr@50",
        "hr@100",
        "hr@200",
        "mrr",
        "coverage",
        "ann_recall@100",
        "parameters",
        "users",
        "candidates",
        "popularity_hr@10",
        "transitions_hr@10",
    ] {
        assert!(json[key].is_number(), "{key}: {json:#}");
    }
    assert_eq!(json["item_set"], "S");
    assert_eq!(json["seen_excluded"], true);
    assert_eq!(json["request_time"], false);
    assert_eq!(json["rows"].as_array().unwrap().len(), 12);
    // The table of 20 known items, the unknown and the padding stands in both towers, and counts once.
    assert!(
        (22 * 8..22 * 8 + 16).contains(&json["parameters"].as_u64().unwrap()),
        "{}",
        json["parameters"]
    );
}

#[test]
fn slices_of_a_kind_share_out_the_users_and_are_told_only_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    Sample::default().write(dir.path()).unwrap();
    let dataset = dataset(1);
    let options = Options {
        slices: true,
        ..Options::default()
    };
    let evaluation = evaluate::evaluate(dir.path(), &dataset, &options).unwrap();
    let total = evaluation
        .row("artifact", ItemSet::S, true)
        .unwrap()
        .figures;
    let kinds: BTreeSet<&str> = evaluation.slices.iter().map(|slice| slice.kind).collect();
    assert_eq!(kinds.len(), 6, "{kinds:?}");
    for kind in kinds {
        let slices = || evaluation.slices.iter().filter(|slice| slice.kind == kind);
        let weight: f64 = slices().map(|slice| slice.weight).sum();
        assert!((weight - total.users as f64).abs() < 1e-9, "{kind}");
        let hits: f64 = slices().map(|slice| slice.weight * slice.hr_10.mean).sum();
        assert!((hits / weight - total.hr_10).abs() < 1e-9, "{kind}");
    }
    assert!(evaluation.to_json()["slices"].is_array());
    assert!(evaluation.to_string().contains("by history length"));

    let plain = evaluate::evaluate(dir.path(), &dataset, &Options::default()).unwrap();
    assert!(plain.to_json().get("slices").is_none());
    assert!(!plain.to_string().contains("by history length"));
}

#[test]
fn the_top_n_file_tells_what_its_summary_says() {
    let dir = tempfile::tempdir().unwrap();
    Sample::default().write(dir.path()).unwrap();
    let dataset = dataset(1);
    let options = Options {
        top_n: Some(5),
        ..Options::default()
    };
    let evaluation = evaluate::evaluate(dir.path(), &dataset, &options).unwrap();
    let top_n = evaluation.top_n.as_ref().unwrap();
    let file = dir.path().join("top.csv");
    top_n.write(&file).unwrap();

    let split = Split::new(&dataset, ItemSet::S);
    let (mut hits, mut users) = (0, 0);
    for row in csv::Reader::from_path(&file).unwrap().records() {
        let row = row.unwrap();
        let sequence = &split.users[row[0].parse::<usize>().unwrap()];
        let id = |dense: u32| dataset.items[split.items[dense as usize] as usize].id;
        let (&target, seen) = sequence.items.split_last().unwrap();
        assert_eq!(row[1], id(target).to_string());
        assert_eq!(row[2], format!("Item {}", id(target)));
        let recalled: Vec<(u64, f32)> = row[5]
            .split(' ')
            .map(|cell| cell.split_once('=').unwrap())
            .map(|(item, score)| (item.parse().unwrap(), score.parse().unwrap()))
            .collect();
        assert_eq!(recalled.len(), 5);
        assert!(recalled.is_sorted_by(|a, b| a.1 >= b.1), "{recalled:?}");
        assert!(
            seen.iter()
                .all(|&item| recalled.iter().all(|hit| hit.0 != id(item)))
        );
        let place = recalled.iter().position(|hit| hit.0 == id(target));
        let rank = place.map(|place| (place + 1).to_string());
        assert_eq!(row[3], rank.unwrap_or_default());
        hits += usize::from(place.is_some());
        users += 1;
    }
    assert_eq!(users, 30);
    assert!(hits > 0);
    assert_eq!(top_n.hit_rate(), hits as f64 / 30.0);
    assert!(
        top_n
            .to_string()
            .contains(&format!("{hits} of 30 held-out items"))
    );
    assert_eq!(evaluation.to_json()["top_n"]["hr"], top_n.hit_rate());
    // 19 items are few enough for a walk of the graph to meet them all.
    assert_eq!(
        (top_n.recall(), top_n.exact_hit_rate()),
        (1.0, top_n.hit_rate())
    );
}
