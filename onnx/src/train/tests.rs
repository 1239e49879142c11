#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::Tensor;
use encoder::features::{CatalogItem, Value};

use super::*;
use crate::dataset::bad_lines::BadLines;
use crate::dataset::{EventRecord, UserRecord};
use crate::sampling::raw;

const ITEMS: u32 = 90;

/// Users who walk around a circle of items, three steps at a time, from different places.
fn circle() -> Dataset {
    let users = (0..60).map(|id: u32| UserRecord {
        id: id.to_string(),
        features: [(
            "gender".to_owned(),
            Value::Text(["F", "M"][id as usize % 2].to_owned()),
        )]
        .into(),
    });
    let items = (0..ITEMS).map(|index| CatalogItem {
        id: u64::from(index) + 100,
        features: [(
            "genres".to_owned(),
            Value::List(vec![format!("g{}", index % 3)]),
        )]
        .into(),
        ..CatalogItem::default()
    });
    let events = (0..60 * 20_u32).map(|n| EventRecord {
        user: n / 20,
        item: (n / 20 * 7 + n % 20 * 3) % ITEMS,
        kind: 0,
        value: 4.0,
        time: i64::from(n % 20) * 60,
        event_id: u64::from(n),
    });
    Dataset::new(
        "circle",
        users.collect(),
        items.collect(),
        vec!["rating".into()],
        events.collect(),
        BadLines::default(),
    )
}

fn attention() -> Recipe {
    let text = include_str!("../../towers/quick.toml")
        .replace(r#"["genres", "year"]"#, r#"["genres"]"#)
        .replace("dim = 64", "dim = 16")
        .replace("history = 50", "history = 6")
        .replace("batch = 64", "batch = 8")
        .replace("epochs = 20", "epochs = 6")
        .replace("warmup = 100", "warmup = 5")
        .replace("rate = 0.002", "rate = 0.01");
    Recipe::parse(&text).unwrap()
}

fn youtubednn(loss: &str) -> Recipe {
    let text = include_str!("../../towers/youtubednn-sum.toml")
        .replace(
            r#"["id", "gender", "age", "occupation", "zip"]"#,
            r#"["id", "gender"]"#,
        )
        .replace("{ sampled = { negatives = 10 } }", loss)
        .replace("dim = 64", "dim = 16")
        .replace("history = 50", "history = 1")
        .replace("batch = 512", "batch = 16")
        .replace("epochs = 6", "epochs = 12")
        .replace("warmup = 100", "warmup = 5")
        .replace("rate = 0.001", "rate = 0.01");
    Recipe::parse(&text).unwrap()
}

fn hit_rate(recipe: &Recipe) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let report = train(recipe, &circle(), dir.path(), &Overrides::default(), false).unwrap();
    assert!(report.epochs[0].loss > report.epochs[report.epochs.len() - 1].loss);
    assert_eq!(report.test.users, 60);
    report.test.hr_10
}

#[test]
fn both_towers_learn_what_comes_next() {
    for recipe in [
        attention(),
        youtubednn("{ sampled = { negatives = 10 } }"),
        youtubednn(r#""full""#),
    ] {
        let found = hit_rate(&recipe);
        assert!(found > 0.9, "{} has HR@10 {found}", recipe.name);
    }
}

fn parameters(run: &Path) -> Vec<(String, Vec<f32>)> {
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
    let model = Trained::load(run).unwrap();
    model
        .parameters
        .iter()
        .map(|(name, tensor)| (name.clone(), values(tensor)))
        .collect()
}

/// Trains one epoch only, as if the process had died after it.
fn interrupted(recipe: &Recipe, dataset: &Dataset, dir: &Path) {
    let split = Split::new(dataset, recipe.items);
    let model = Trained::new(recipe, dataset, &split).unwrap();
    let training = Training::new(&model, dataset, &split);
    let Tower::YouTubeDnn(tower) = &recipe.tower else {
        panic!("the test is for YouTubeDNN")
    };
    let mut objective = SingleSample::new(&model, tower, training, &split).unwrap();
    let mut state = Checkpoint::new(recipe, dataset, &model);
    let held_out = Held::validation(&model, dataset, &split);
    let steps = (objective.examples(0).len().div_ceil(recipe.training.batch)
        * recipe.training.epochs) as u64;
    let pace = Pace {
        steps,
        bar: ProgressBar::hidden(),
    };
    let run = Run {
        recipe,
        dataset,
        split: &split,
        dir,
    };
    run.round(&mut objective, &model, &held_out, &mut state, &pace)
        .unwrap();
}

#[test]
fn a_resumed_run_ends_as_one_that_was_never_stopped() {
    let (whole, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dataset = circle();
    let recipe = youtubednn("{ sampled = { negatives = 10 } }").overridden(&Overrides {
        epochs: Some(3),
        seed: Some(7),
        ..Overrides::default()
    });
    let expected = train(
        &recipe,
        &dataset,
        whole.path(),
        &Overrides::default(),
        false,
    )
    .unwrap();
    interrupted(&recipe, &dataset, stopped.path());
    let found = train(
        &recipe,
        &dataset,
        stopped.path(),
        &Overrides::default(),
        true,
    )
    .unwrap();
    assert_eq!(found.test, expected.test);
    assert_eq!(parameters(stopped.path()), parameters(whole.path()));
    assert!(!stopped.path().join("checkpoint.safetensors").exists());
    let again = train(
        &recipe,
        &dataset,
        stopped.path(),
        &Overrides::default(),
        true,
    )
    .unwrap();
    assert_eq!(
        again.epochs.iter().map(|epoch| epoch.loss).sum::<f64>() as f32,
        found.epochs.iter().map(|epoch| epoch.loss).sum::<f64>() as f32,
        "a finished run is not trained again"
    );
    assert_eq!(again.test, found.test);
}

#[test]
fn a_run_is_not_resumed_with_another_recipe() {
    let dir = tempfile::tempdir().unwrap();
    let (dataset, recipe) = (circle(), youtubednn(r#""full""#));
    interrupted(&recipe, &dataset, dir.path());
    let other = Overrides {
        seed: Some(9),
        ..Overrides::default()
    };
    let error = train(&recipe, &dataset, dir.path(), &other, true).unwrap_err();
    assert!(
        matches!(error, Error::Resume { what: "recipe", .. }),
        "{error}"
    );
}

#[test]
fn a_saved_model_embeds_raw_features_as_it_did_before() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = circle();
    for recipe in [attention(), youtubednn(r#""full""#)] {
        let split = Split::new(&dataset, recipe.items);
        let model = Trained::new(&recipe, &dataset, &split).unwrap();
        model.save(dir.path()).unwrap();
        let loaded = Trained::load(dir.path()).unwrap();
        let mut users: Vec<_> = split
            .users
            .iter()
            .map(|sequence| raw(&dataset, &split, sequence, 9))
            .collect();
        users.push(encoder::features::User::default());
        let vectors = model.embed_users(&users).unwrap();
        assert_eq!(vectors, loaded.embed_users(&users).unwrap());
        assert!(vectors.values.iter().all(|x| x.is_finite()));
        let alone = loaded.embed_users(&users[3..4]).unwrap();
        let apart = alone
            .row(0)
            .iter()
            .zip(vectors.row(3))
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(apart < 1e-5, "the batch changes a user by {apart}");
        let items: Vec<_> = dataset
            .items
            .iter()
            .map(encoder::features::Item::from)
            .collect();
        let table = model
            .item_table()
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert_eq!(loaded.embed_items(&items).unwrap().values, table[2 * 16..]);
    }
}

#[test]
fn too_little_data_is_refused() {
    let mut dataset = circle();
    dataset.events.truncate(1);
    let error = train(
        &attention(),
        &dataset,
        Path::new("/nowhere"),
        &Overrides::default(),
        false,
    )
    .unwrap_err();
    assert!(error.to_string().contains("circle has"), "{error}");
}

#[test]
fn a_value_that_no_vocabulary_can_hold_is_refused_before_training() {
    let mut dataset = circle();
    let value = Value::Text("F\nM".to_owned());
    dataset.users[0].features.insert("gender".to_owned(), value);
    let run = Path::new("/nowhere");
    let recipe = youtubednn(r#""full""#);
    let error = train(&recipe, &dataset, run, &Overrides::default(), false)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(r#"user.gender has the value "F\nM""#),
        "{error}"
    );
}

#[test]
fn a_vocabulary_of_another_length_than_its_table_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (dataset, recipe) = (circle(), youtubednn(r#""full""#));
    let split = Split::new(&dataset, recipe.items);
    let model = Trained::new(&recipe, &dataset, &split).unwrap();
    model.save(dir.path()).unwrap();
    let path = dir.path().join("vocabulary/user.gender.txt");
    std::fs::write(path, "<pad>\n<unk>\nF\nM\nX\n").unwrap();
    let error = Trained::load(dir.path()).unwrap_err().to_string();
    assert!(
        error.contains("user.gender has 4 rows, its vocabulary has 5 lines"),
        "{error}"
    );
}

#[test]
fn a_fresh_start_leaves_nothing_of_an_older_run() {
    let dir = tempfile::tempdir().unwrap();
    let (dataset, recipe) = (circle(), youtubednn(r#""full""#));
    interrupted(&recipe, &dataset, dir.path());
    let (old, vocabulary) = (["training.json", "checkpoint.safetensors"], "vocabulary");
    std::fs::write(dir.path().join(old[0]), "{}").unwrap();
    // Where the vocabularies go stands a file: the run ends before it saves anything.
    std::fs::remove_dir_all(dir.path().join(vocabulary)).unwrap();
    std::fs::write(dir.path().join(vocabulary), "").unwrap();
    let error = train(&recipe, &dataset, dir.path(), &Overrides::default(), false).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(old.iter().all(|file| !dir.path().join(file).exists()));
}
