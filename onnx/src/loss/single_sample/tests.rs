#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::Device;
use encoder::features::{CatalogItem, Value};

use super::*;
use crate::dataset::bad_lines::BadLines;
use crate::dataset::{Dataset, EventRecord, UserRecord};
use crate::kernels::products::Products;
use crate::model::recipe::Recipe;
use crate::train::gradients;

const ITEMS: u32 = 30;

/// Two users: the first watches items 0, 1, .. 19, one a day; the second, later, 10 .. 19 and again from 0.
fn dataset() -> Dataset {
    let item = |index: u32| CatalogItem {
        id: u64::from(index) + 100,
        features: [(
            "genres".to_owned(),
            Value::List(vec![format!("g{}", index % 3), "all".into()]),
        )]
        .into(),
        ..CatalogItem::default()
    };
    let event = |n: u32| EventRecord {
        user: n / 20,
        item: (n % 20 + n / 20 * 10) % 20,
        kind: 0,
        value: (n % 5 + 1) as f32,
        time: i64::from(n % 20 + n / 20 * 100) * 86_400,
        event_id: u64::from(n),
    };
    let user = |id: u32| UserRecord {
        id: id.to_string(),
        features: [("gender".to_owned(), Value::from("F"))].into(),
    };
    // Items without an event are in no set: two strangers watch everything once.
    let others = (0..ITEMS * 2).map(|n| EventRecord {
        user: 2 + n / ITEMS,
        item: n % ITEMS,
        event_id: u64::from(n) + 100,
        ..event(0)
    });
    Dataset::new(
        "two",
        (0..4).map(user).collect(),
        (0..ITEMS).map(item).collect(),
        vec!["rating".into()],
        (0..40).map(event).chain(others).collect(),
        BadLines::default(),
    )
}

fn recipe(changes: &[(&str, &str)]) -> Recipe {
    let mut text = include_str!("../../../towers/youtubednn-sum.toml")
        .replace(r#"items = "S""#, r#"items = "R""#)
        .replace(
            r#"["id", "gender", "age", "occupation", "zip"]"#,
            r#"["gender"]"#,
        )
        .replace("dim = 64", "dim = 8")
        .replace("shards = 2", "shards = 1")
        .replace("history = 50", "history = 5");
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    Recipe::parse(&text).unwrap()
}

fn objective(recipe: &Recipe) -> (Trained, SingleSample) {
    let dataset = dataset();
    let split = Split::new(&dataset, recipe.items);
    let model = Trained::new(recipe, &dataset, &split).unwrap();
    let training = Training::new(&model, &dataset, &split);
    let crate::model::recipe::Tower::YouTubeDnn(tower) = &recipe.tower else {
        panic!("the recipe is YouTubeDNN's")
    };
    let objective = SingleSample::new(&model, tower, training, &split).unwrap();
    (model, objective)
}

const AT_TEN: Sample = Sample {
    user: 0,
    position: 10,
};

/// What a pooling of a first user's history gives where every item's row is the item's dense number.
fn pooled(pooling: &str, position: u32) -> f32 {
    let recipe = recipe(&[(r#"pooling = ["sum"]"#, &format!("pooling = [{pooling}]"))]);
    let (_, mut objective) = objective(&recipe);
    objective.loss = Loss::Full;
    let users = objective.users(&[Sample { user: 0, position }]);
    let rows = (0..ITEMS + 2)
        .map(|row| row as f32 - 2.0)
        .collect::<Vec<_>>();
    let table = Tensor::from_vec(rows, (ITEMS as usize + 2, 1), &Device::Cpu).unwrap();
    let parameters = Parameters::new();
    let out = youtubednn::pooled(
        &Tape::off(),
        &objective.tower,
        &parameters,
        &table,
        &users.events,
    );
    out.unwrap().to_vec2::<f32>().unwrap()[0][0]
}

#[test]
fn a_history_is_the_newest_events_before_the_positive_not_the_oldest() {
    assert_eq!(pooled(r#""sum""#, 10), 9.0 + 8.0 + 7.0 + 6.0 + 5.0);
    assert_eq!(pooled(r#""sum""#, 2), 1.0);
}

#[test]
fn a_mean_divides_by_the_events_after_the_cut() {
    assert_eq!(pooled(r#""mean""#, 10), 7.0);
    assert!((pooled(r#""mean""#, 3) - 1.0).abs() < 1e-6);
}

#[test]
fn the_last_item_is_the_newest() {
    assert_eq!(pooled(r#""last""#, 10), 9.0);
    assert_eq!(pooled("{ newest = 2 }", 10), 8.0);
    assert_eq!(pooled("{ newest = 5 }", 2), 0.0);
}

#[test]
fn drawn_negatives_are_neither_watched_nor_the_positive() {
    let (_, mut objective) = objective(&recipe(&[]));
    let step = objective.step(&[AT_TEN; 40], 3);
    let Targets::Sampled(candidates) = &step.parts[0].targets else {
        panic!("the loss is sampled")
    };
    let rows = &step.rows["item.id"];
    for of_sample in candidates.chunks_exact(11) {
        assert_eq!(rows[of_sample[0] as usize], 12, "the positive is item 10");
        for &negative in &of_sample[1..] {
            // The training part of the first user is items 0 to 17.
            assert!((20..32).contains(&rows[negative as usize]));
        }
    }
}

#[test]
fn shared_negatives_leave_out_what_each_user_has_watched() {
    let loss = (
        "{ sampled = { negatives = 10 } }",
        "{ shared = { negatives = 30 } }",
    );
    let (_, mut objective) = objective(&recipe(&[loss]));
    let other = Sample {
        user: 1,
        position: 3,
    };
    let step = objective.step(&[AT_TEN, other], 3);
    let Targets::Shared(shared) = &step.parts[0].targets else {
        panic!("the loss is shared")
    };
    let rows = &step.rows["item.id"];
    let mut drawn: Vec<u32> = shared
        .negatives
        .iter()
        .map(|&row| rows[row as usize])
        .collect();
    let left_out = |range: std::ops::Range<usize>| {
        let mut items: Vec<u32> = shared.left_out[range]
            .iter()
            .map(|&place| drawn[place as usize])
            .collect();
        items.sort_unstable();
        items
    };
    let first = shared.ends[0] as usize;
    assert_eq!(left_out(0..first), (2..20).collect::<Vec<_>>());
    let watched: Vec<u32> = (2..10).chain(12..22).collect();
    assert_eq!(left_out(first..shared.left_out.len()), watched);
    drawn.sort_unstable();
    assert_eq!(drawn, (2..32).collect::<Vec<_>>());
}

#[test]
fn padding_and_unknown_rows_are_not_trained() {
    for loss in [
        "{ sampled = { negatives = 10 } }",
        "{ shared = { negatives = 9 } }",
        r#""full""#,
    ] {
        let recipe = recipe(&[("{ sampled = { negatives = 10 } }", loss)]);
        let (model, mut objective) = objective(&recipe);
        let step = objective.step(
            &[
                Sample {
                    user: 0,
                    position: 2,
                },
                AT_TEN,
            ],
            3,
        );
        let gradients =
            gradients::of(&objective, &model.parameters, &step, 1, Products::F32).unwrap();
        let gradient = gradients.by_name["item.id"].to_vec2::<f32>().unwrap();
        let whole: Vec<u32> = (0..32).collect();
        let rows = step.rows.get("item.id").unwrap_or(&whole);
        assert_eq!(rows.len(), gradient.len());
        let moved = |gradient: &Vec<f32>| gradient.iter().any(|&x| x != 0.0);
        let moved: Vec<u32> = rows
            .iter()
            .zip(&gradient)
            .filter(|(_, gradient)| moved(gradient))
            .map(|(row, _)| *row)
            .collect();
        assert!(
            moved.len() > 10 && moved.iter().all(|&row| row >= 2),
            "{moved:?} of {loss}"
        );
    }
}

#[test]
fn rows_that_stand_in_for_the_table_give_the_loss_of_the_whole_table() {
    let shared = "{ shared = { negatives = 30 } }";
    let features = ("hidden = 128", "hidden = 128\nitem_features = [\"genres\"]");
    let changed = [("{ sampled = { negatives = 10 } }", shared), features];
    let (mut model, mut objective) = objective(&recipe(&changed));
    let genres = model.parameters.get_mut("item.genres").unwrap();
    *genres = (&*genres * 50.0).unwrap();
    // The first user's positive is the last event of the training part: all that is watched is before it.
    let last = [Sample {
        user: 0,
        position: 17,
    }];
    let mut loss = |loss: Loss| {
        objective.loss = loss;
        let step = objective.step(&last, 3);
        gradients::of(&objective, &model.parameters, &step, 1, Products::F32)
            .unwrap()
            .loss
    };
    let (few, whole) = (loss(Loss::Shared { negatives: 30 }), loss(Loss::Full));
    assert!((few - whole).abs() < 1e-5, "{few} {whole}");
}

#[test]
fn an_age_counts_back_from_the_newest_time_of_the_training_part() {
    let edges = (
        "hidden = 128",
        "hidden = 128\nexample_age_edges = [1.0, 10.0, 110.0]",
    );
    let (_, objective) = objective(&recipe(&[edges]));
    // The newest event of the training part is the second user's on day 117.
    assert_eq!(objective.ages[1][17], 1);
    assert_eq!(objective.ages[1][16], 2);
    assert_eq!(objective.ages[0][17], 3);
    assert_eq!(objective.ages[0][7], 4);
    assert_eq!(youtubednn::age(&objective.tower, 0), 1, "whoever asks now");
}

#[test]
fn the_user_vector_is_not_confined_to_a_cone() {
    for activation in ["relu", "swiglu"] {
        let changed = (
            "hidden = 128",
            format!("hidden = 128\nactivation = \"{activation}\""),
        );
        let (model, mut objective) = objective(&recipe(&[(changed.0, &changed.1)]));
        objective.loss = Loss::Full;
        let users = objective.users(&[AT_TEN]);
        let items = &model.parameters["item.id"];
        let drops = Drops { seed: None };
        let u = youtubednn::users(
            &Tape::off(),
            &objective.tower,
            &model.parameters,
            items,
            &users,
            drops,
        );
        let u = u.unwrap().to_vec2::<f32>().unwrap().concat();
        assert!(
            u.iter().any(|&x| x < 0.0) && u.iter().any(|&x| x > 0.0),
            "{u:?}"
        );
    }
}
