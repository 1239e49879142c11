//! The real MovieLens-1M, where it is at hand: counts of the protocol, and the baselines' published figures.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use onnx::{
    baselines::{Popularity, Transitions},
    dataset::{
        movielens, real,
        split::{ItemSet, Split},
    },
    metrics::{self, Case},
    model::{recipe::Recipe, trained::Trained},
};

/// Compares with a figure of four digits.
fn check(name: &str, found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 6e-4,
        "{name}: {found:.4}, expected {expected:.4}"
    );
}

#[test]
fn movielens_1m_gives_the_protocol_s_counts_and_baselines() {
    let Some(dir) = real::ml1m("movielens_1m_gives_the_protocol_s_counts_and_baselines") else {
        return;
    };
    let dataset = movielens::read(&dir, &Default::default()).unwrap();
    assert_eq!(dataset.bad_lines.count, 0, "{}", dataset.bad_lines);
    assert_eq!(
        (
            dataset.users.len(),
            dataset.items.len(),
            dataset.events.len()
        ),
        (6_040, 3_883, 1_000_209)
    );

    let all = Split::new(&dataset, ItemSet::R);
    assert_eq!((all.items.len(), all.events()), (3_706, 1_000_209));
    let split = Split::new(&dataset, ItemSet::S);
    assert_eq!((split.items.len(), split.events()), (3_416, 999_611));
    assert!(split.users.iter().all(|user| user.is_evaluated()));
    assert_eq!(split.users.len(), 6_040);

    let popularity = Popularity::fit(&split);
    let transitions = Transitions::fit(&split);
    let test = |user| {
        let user: &onnx::dataset::split::Sequence = user;
        Case {
            target: user.test(),
            history: &user.items[..user.items.len() - 1],
        }
    };
    let validation = |user| {
        let user: &onnx::dataset::split::Sequence = user;
        Case {
            target: user.validation(),
            history: user.training(),
        }
    };
    let tests: Vec<Case> = split.users.iter().map(test).collect();
    let validations: Vec<Case> = split.users.iter().map(validation).collect();

    let figures = metrics::rank(&tests, split.items.len(), |_, scores| {
        popularity.score(scores)
    })
    .seen_excluded
    .figures();
    check("popularity HR@10", figures.hr_10, 0.0364);
    check("popularity NDCG@10", figures.ndcg_10, 0.0179);

    let by_transitions = |cases: &[Case]| {
        let score =
            |case: usize, scores: &mut [f32]| transitions.score(cases[case].history, scores);
        metrics::rank(cases, split.items.len(), score)
            .seen_excluded
            .figures()
    };
    let figures = by_transitions(&tests);
    check("transitions HR@10", figures.hr_10, 0.2692);
    check("transitions NDCG@10", figures.ndcg_10, 0.1572);
    check("transitions HR@50", figures.hr_50, 0.4930);
    check("transitions HR@100", figures.hr_100, 0.5967);
    let figures = by_transitions(&validations);
    check("validation HR@10", figures.hr_10, 0.2733);
    check("validation NDCG@10", figures.ndcg_10, 0.1594);
}

#[test]
fn the_small_model_keeps_within_the_document_s_count() {
    let Some(dir) = real::ml1m("the_small_model_keeps_within_the_document_s_count") else {
        return;
    };
    let dataset = movielens::read(&dir, &Default::default()).unwrap();
    let recipe = Recipe::parse(include_str!("../towers/small.toml")).unwrap();
    let split = Split::new(&dataset, recipe.items);
    let model = Trained::new(&recipe, &dataset, &split).unwrap();
    assert_eq!(model.parameter_count(), 100_734);
    assert!(model.parameter_count() <= 102_786);
}
