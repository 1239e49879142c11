//! Every recipe's towers leave the trainer as an artifact that gives the same vectors.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::Tensor;
use encoder::{
    artifact::Artifact,
    features::{Event, Item, User},
    session::{ItemEncoder, UserEncoder},
};
use generation::store::Store;
use onnx::{
    check,
    dataset::{Dataset, generator, split::Split},
    export,
    model::{recipe::Recipe, trained::Trained},
};

fn dataset() -> Dataset {
    generator::generate(&generator::Options {
        seed: 3,
        users: 60,
        items: 120,
        events: 4_000,
    })
}

/// A model with first values, which is as good as a trained one to compare two ways of computing it.
///
/// The last bias is not 0, as after any training: with it at 0 an empty history is a zero vector, which no export
/// may give. First embeddings are so small that a mistake would hide in the tolerance, so they are made larger,
/// and so are the biases of attention.
fn model(recipe: &str, dataset: &Dataset) -> Trained {
    let recipe = Recipe::parse(recipe).unwrap();
    let mut trained = Trained::new(&recipe, dataset, &Split::new(dataset, recipe.items)).unwrap();
    for name in ["norm.bias", "mlp.1.bias"] {
        if let Some(bias) = trained.parameters.get_mut(name) {
            *bias = bias.ones_like().unwrap();
        }
    }
    for (name, table) in &mut trained.parameters {
        let ramp = |from: f32, to: f32| {
            let (count, device) = (table.elem_count(), table.device());
            let steps = Tensor::arange(0.0, count as f32, device).unwrap();
            let steps = steps.affine(f64::from((to - from) / count as f32), f64::from(from));
            steps.unwrap().reshape(table.shape()).unwrap()
        };
        match name.as_str() {
            "history.factor" => *table = ramp(0.2, 1.5),
            name if name.ends_with("distance") || name.ends_with("elapsed") => {
                *table = ramp(-2.0, 2.0)
            }
            _ if recipe.name == "youtubednn-sum" && name.starts_with(['i', 'u', 'h', 'e']) => {
                *table = table.affine(5.0, 0.0).unwrap();
            }
            _ => {}
        }
    }
    trained
}

const DEFAULT: &str = include_str!("../towers/default.toml");
const QUICK: &str = include_str!("../towers/quick.toml");
const YOUTUBEDNN: &str = include_str!("../towers/youtubednn-sum.toml");

fn users(dataset: &Dataset) -> Vec<User> {
    let history = |user: u32| {
        let events = dataset.events.iter().filter(|event| event.user == user);
        let event = |event: &onnx::dataset::EventRecord| Event {
            item: dataset.items[event.item as usize].id,
            kind: "rating".to_owned(),
            value: event.value,
            time: event.time,
        };
        let mut history: Vec<Event> = events.map(event).collect();
        history.sort_by_key(|event| event.time);
        history
    };
    let user = |(at, record): (u32, &onnx::dataset::UserRecord)| User {
        id: record.id.clone(),
        features: record.features.clone(),
        time: (at % 3 > 0).then(|| {
            history(at)
                .last()
                .map_or(0, |event| event.time + i64::from(at) * 500)
        }),
        history: history(at),
    };
    (0..).zip(&dataset.users).map(user).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

fn check_parity(recipe: &str) {
    let dataset = dataset();
    let trained = model(recipe, &dataset);
    let run = tempfile::tempdir().unwrap();
    trained.save(run.path()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let exported = export::export(run.path(), dir.path()).unwrap();
    assert!(
        exported.parity.user < 1e-4 && exported.parity.item < 1e-4,
        "{exported}"
    );

    let artifact = Artifact::open(dir.path()).unwrap();
    assert_eq!(artifact.space(), exported.space);
    let users = users(&dataset);
    let found = UserEncoder::open(&artifact, 1)
        .unwrap()
        .encode(&users)
        .unwrap();
    let expected = trained.embed_users(&users).unwrap();
    assert!(largest_difference(&found.values, &expected.values) < 1e-4);
    let items: Vec<Item> = dataset.items.iter().map(Item::from).collect();
    let found = ItemEncoder::open(&artifact, 1)
        .unwrap()
        .encode(&items)
        .unwrap();
    let expected = trained.embed_items(&items).unwrap();
    assert!(largest_difference(&found.values, &expected.values) < 1e-4);
}

#[test]
fn the_default_tower_is_the_same_in_onnx_runtime() {
    check_parity(DEFAULT);
}

#[test]
fn the_time_to_the_request_is_the_same_in_onnx_runtime() {
    check_parity(&QUICK.replacen("time_bias = true", "request_time = true", 1));
    check_parity(&QUICK.replacen(
        "time_bias = true",
        "time_bias = true\nrequest_time = true",
        1,
    ));
}

#[test]
fn the_youtubednn_tower_is_the_same_in_onnx_runtime() {
    check_parity(YOUTUBEDNN);
}

#[test]
fn every_part_of_the_youtubednn_tower_is_the_same_in_onnx_runtime() {
    let poolings = r#"["sum", "mean", "last", { newest = 3 }, { decay = 0.7 }]"#;
    let edges = "value_edges = [1.5, 2.5, 3.5, 4.5]\ngap_edges = [1.0, 60.0, 86400.0]";
    for history in [
        r#""plain""#,
        r#""nonlinear""#,
        "{ self_attention = { heads = 2 } }",
    ] {
        let parts = format!(
            "hidden = 64\nactivation = \"swiglu\"\nhistory = {history}\nitem_features = [\"genres\", \"year\"]\n{edges}\n\
             value_weights = true\nevent_features = [\"value\", \"gap\"]\nexample_age_edges = [1.0, 7.0]\ndropout = 0.2"
        );
        check_parity(
            &YOUTUBEDNN
                .replace("hidden = 128", &parts)
                .replace(r#"["sum"]"#, poolings),
        );
    }
}

#[tokio::test]
async fn an_export_puts_one_artifact_in_the_store_that_can_be_served() {
    let dataset = dataset();
    let run = tempfile::tempdir().unwrap();
    model(DEFAULT, &dataset).save(run.path()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().to_str().unwrap()).unwrap();

    let (exported, evaluation) = export::publish(run.path(), &store, Some(&dataset))
        .await
        .unwrap();
    let dir = store.artifact_dir(&exported.space).unwrap();
    assert_eq!(check::check(&dir), [""; 0]);
    assert_eq!(
        store.artifacts().await.unwrap(),
        std::slice::from_ref(&exported.space)
    );
    let report = Artifact::open(&dir).unwrap().report().cloned().unwrap();
    assert_eq!(report["space"], exported.space.as_str());
    assert_eq!(
        report["rows"].as_array().unwrap().len(),
        evaluation.unwrap().rows.len()
    );

    let (again, _) = export::publish(run.path(), &store, None).await.unwrap();
    assert_eq!(again.space, exported.space);
}

#[test]
fn a_directory_that_holds_something_else_is_left_alone() {
    let run = tempfile::tempdir().unwrap();
    model(YOUTUBEDNN, &dataset()).save(run.path()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.tex"), "years of work").unwrap();
    let refusal = export::export(run.path(), dir.path())
        .unwrap_err()
        .to_string();
    assert!(
        refusal.contains("neither empty nor an artifact"),
        "{refusal}"
    );
    assert!(dir.path().join("thesis.tex").exists());
}
