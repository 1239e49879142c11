//! Towers with several interests: what training leaves fixed, and what `encoder` serves of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use encoder::{
    artifact::Artifact,
    embedding::Interests,
    features::{Event, User},
    session::UserEncoder,
};
use onnx::{
    check,
    dataset::{Dataset, generator, split::Split},
    export,
    model::{
        recipe::{Overrides, Recipe},
        trained::Trained,
    },
    train,
};

const LABEL_AWARE: &str = include_str!("../towers/capsules-label-aware.toml");
const MAX: &str = include_str!("../towers/capsules-max.toml");
const BEST: &str = include_str!("../towers/capsules.toml");

fn dataset() -> Dataset {
    generator::generate(&generator::Options {
        seed: 3,
        users: 60,
        items: 120,
        events: 4_000,
    })
}

fn fresh(recipe: &str, dataset: &Dataset) -> Trained {
    let recipe = Recipe::parse(recipe).unwrap();
    Trained::new(&recipe, dataset, &Split::new(dataset, recipe.items)).unwrap()
}

/// First values, but of the size that training gives them, so that routing has something to decide.
fn grown(recipe: &str, dataset: &Dataset) -> Trained {
    let mut model = fresh(recipe, dataset);
    for (name, values) in &mut model.parameters {
        if name.starts_with("item.") || name == "capsule.position" {
            *values = values.affine(20.0, 0.0).unwrap();
        } else if name == "mlp.1.bias" {
            *values = values.ones_like().unwrap();
        }
    }
    model
}

/// Exports the model, and encodes the users by what was exported.
fn served(model: &Trained, users: &[User]) -> Interests {
    let (run, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    model.save(run.path()).unwrap();
    let exported = export::export(run.path(), dir.path()).unwrap();
    assert!(exported.parity.user < 1e-4, "{exported}");
    assert_eq!(check::check(dir.path()), [""; 0]);
    let artifact = Artifact::open(dir.path()).unwrap();
    assert_eq!(artifact.signature().interests, 5);
    let encoder = UserEncoder::open(&artifact, 1).unwrap();
    encoder.encode(users).unwrap()
}

/// A user who watched so many movies of the catalog, one a minute.
fn user(dataset: &Dataset, events: usize) -> User {
    let event = |at: usize| Event {
        item: dataset.items[at * 7 % dataset.items.len()].id,
        kind: "rating".to_owned(),
        value: 4.0,
        time: at as i64 * 60,
    };
    User {
        history: (0..events).map(event).collect(),
        ..User::default()
    }
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    let gaps = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    gaps.fold(0.0, f32::max)
}

/// How many different vectors a user has.
fn different(interests: &[f32]) -> usize {
    let rows: Vec<&[f32]> = interests.chunks(interests.len() / 5).collect();
    let is_new = |at: &usize| rows[..*at].iter().all(|row| apart(row, rows[*at]) > 1e-4);
    (0..rows.len()).filter(is_new).count()
}

#[test]
fn every_recipe_with_capsules_is_served_as_it_was_trained() {
    let dataset = dataset();
    let swiglu = MAX.replace(
        "hidden = 128",
        "hidden = 64\nactivation = \"swiglu\"\nitem_features = [\"genres\", \"year\"]",
    );
    let redrawn = MAX.replace("{ noise = 1.0 }", "{ redrawn = 1.0 }");
    for recipe in [LABEL_AWARE, MAX, BEST, &swiglu, &redrawn] {
        let model = grown(recipe, &dataset);
        let users: Vec<User> = [0, 1, 5, 40, 70].map(|n| user(&dataset, n)).into();
        let found = served(&model, &users);
        let expected = model.embed_users(&users).unwrap();
        assert_eq!(found.values.len(), users.len() * 5 * 64);
        assert!(apart(&found.values, &expected.values) < 1e-4);
    }
}

#[test]
fn every_event_is_routed_whole_to_the_interests() {
    let dataset = dataset();
    for recipe in [LABEL_AWARE, MAX, BEST] {
        let users: Vec<User> = [0, 3, 40].map(|n| user(&dataset, n)).into();
        let found = served(&grown(recipe, &dataset), &users);
        for (at, user) in users.iter().enumerate() {
            let attention = found.attention_of(at).unwrap();
            // Items that the model does not know are left out.
            let items = user.history.iter().map(|event| event.item);
            let known = items.filter(|item| attention.items.contains(item));
            assert_eq!(known.collect::<Vec<_>>(), attention.items);
            let events = attention.items.len();
            assert!(events * 2 >= user.history.len(), "{events} events");
            for event in 0..events {
                let of = (0..5).map(|interest| attention.values[interest * events + event]);
                let sum: f32 = of.sum();
                assert!((sum - 1.0).abs() < 1e-5, "{sum}");
            }
        }
    }
}

#[test]
fn a_user_with_few_movies_has_fewer_interests_and_nobody_has_none() {
    let dataset = dataset();
    let users: Vec<User> = [0, 3, 4, 9, 40].map(|n| user(&dataset, n)).into();
    let found = served(&grown(MAX, &dataset), &users);
    assert!(found.values.iter().all(|value| value.is_finite()));
    let counts: Vec<usize> = (0..5).map(|at| different(found.user(at))).collect();
    assert_eq!(counts, [1, 1, 2, 3, 5]);
}

#[test]
fn without_adapting_every_user_has_all_interests() {
    let dataset = dataset();
    let recipe = MAX.replace("adaptive = true", "adaptive = false");
    let users = [user(&dataset, 3), user(&dataset, 0)];
    let found = served(&grown(&recipe, &dataset), &users);
    assert_eq!(different(found.user(0)), 5);
    assert!(found.user(1).iter().all(|value| value.is_finite()));
}

#[test]
fn the_vectors_of_a_user_do_not_depend_on_the_batch() {
    let dataset = dataset();
    let model = grown(MAX, &dataset);
    let users: Vec<User> = [40, 0, 9, 25].map(|n| user(&dataset, n)).into();
    let together = model.embed_users(&users).unwrap();
    let alone = model.embed_users(&users[2..3]).unwrap();
    assert!(apart(together.row(2), alone.row(0)) < 1e-5);
}

#[test]
fn training_moves_the_bilinear_map_and_never_the_routing_logits() {
    let dataset = dataset();
    for recipe in [LABEL_AWARE, MAX, BEST] {
        let run = tempfile::tempdir().unwrap();
        let recipe = Recipe::parse(recipe).unwrap();
        let recipe = recipe.overridden(&Overrides {
            epochs: Some(1),
            ..Overrides::default()
        });
        let options = Overrides::default();
        train::train(&recipe, &dataset, run.path(), &options, false).unwrap();
        let before = Trained::new(&recipe, &dataset, &Split::new(&dataset, recipe.items)).unwrap();
        let after = Trained::load(run.path()).unwrap();
        let of = |model: &Trained, name: &str| model.parameters[name].to_vec2::<f32>().unwrap();
        let moved = |name| of(&before, name) != of(&after, name);
        assert!(!moved("capsule.logits"), "{}", recipe.name);
        assert!(moved("capsule.map.weight"), "{}", recipe.name);
        assert_eq!(after.fixed_count(), 5 * 50);
        let all: usize = after
            .parameters
            .values()
            .map(|values| values.elem_count())
            .sum();
        assert_eq!(after.parameter_count() + 250, all);
    }
}

#[test]
fn the_best_of_the_interests_learns_what_comes_next() {
    let dataset = dataset();
    let run = tempfile::tempdir().unwrap();
    let recipe = MAX
        .replace("dim = 64", "dim = 16")
        .replace("batch = 512", "batch = 64")
        .replace("rate = 0.001", "rate = 0.01")
        .replace("epochs = 6", "epochs = 4");
    let recipe = Recipe::parse(&recipe).unwrap();
    let report = train::train(&recipe, &dataset, run.path(), &Overrides::default(), false).unwrap();
    let losses: Vec<f64> = report.epochs.iter().map(|epoch| epoch.loss).collect();
    assert!(losses.is_sorted_by(|a, b| a > b), "{losses:?}");
}
