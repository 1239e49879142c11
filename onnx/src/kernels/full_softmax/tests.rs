#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::D;

use super::*;
use crate::kernels::gradient::{check, random};

fn watched(rows: &[(u32, u32)]) -> Watched {
    Watched {
        sequences: Arc::new(vec![vec![3, 5, 2], vec![6]]),
        rows: rows.to_vec(),
    }
}

fn over(targets: Vec<u32>, watched: Watched, scale: f32) -> Over {
    Over {
        reserved: 2,
        targets,
        watched,
        active: None,
        scale,
    }
}

#[test]
fn the_backward_agrees_with_differences() {
    let inputs = [random(&[3, 4], 1), random(&[8, 4], 2)];
    check(&inputs, |tape, inputs| {
        full_softmax(
            tape,
            &inputs[0],
            &inputs[1],
            over(vec![4, 5, 2], watched(&[(0, 2), (0, 3), (1, 1)]), 0.5),
        )
    });
}

#[test]
fn more_rows_than_a_chunk_agree_with_candle() {
    let (h, table) = (random(&[150, 4], 1), random(&[9, 4], 2));
    let targets: Vec<u32> = (0..150).map(|row| row % 7 + 2).collect();
    let tape = Tape::recording();
    let ours = full_softmax(
        &tape,
        &h,
        &table,
        over(targets.clone(), watched(&[(1, 0); 150]), 1.0),
    )
    .unwrap();
    let logits = h
        .matmul(&table.narrow(0, 2, 7).unwrap().t().unwrap())
        .unwrap();
    let normalizers = logits
        .exp()
        .unwrap()
        .sum(D::Minus1)
        .unwrap()
        .log()
        .unwrap()
        .sum_all()
        .unwrap();
    let columns = Tensor::from_vec(
        targets.iter().map(|t| t - 2).collect::<Vec<_>>(),
        (150, 1),
        h.device(),
    );
    let scores = logits
        .gather(&columns.unwrap(), 1)
        .unwrap()
        .sum_all()
        .unwrap();
    let candle = (normalizers - scores).unwrap();
    let loss = |t: &Tensor| t.to_scalar::<f32>().unwrap();
    assert!((loss(&ours) / loss(&candle) - 1.0).abs() < 1e-5);
    let candle = candle.backward().unwrap();
    let ours = tape
        .backward(&ours, Tensor::new(1.0_f32, h.device()).unwrap())
        .unwrap();
    for input in [&h, &table] {
        let gap = (&ours[&input.id()] - candle.get(input).unwrap())
            .unwrap()
            .abs()
            .unwrap();
        assert!(gap.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-5);
    }
}

#[test]
fn rounded_products_give_nearly_the_same_loss_and_gradients() {
    let active: Arc<[u32]> = (0..70).map(|user| user % 3 + 1).collect();
    rounded_products_are_nearly_exact(1, None, 0.01);
    // An item whose two best interests are nearly equal may have the other one win.
    rounded_products_are_nearly_exact(3, None, 0.1);
    rounded_products_are_nearly_exact(3, Some(active), 0.1);
}

fn rounded_products_are_nearly_exact(interests: usize, active: Option<Arc<[u32]>>, bound: f32) {
    let (h, table) = (random(&[70 * interests, 32], 1), random(&[99, 32], 2));
    let run = |products| {
        let tape = Tape::recording().with(products);
        let targets = (0..70).map(|row| row + 2).collect();
        let over = Over {
            active: active.clone(),
            ..over(targets, watched(&[(0, 3); 70]), 0.1)
        };
        let loss = full_softmax(&tape, &h, &table, over).unwrap();
        let seed = Tensor::new(1.0_f32, h.device()).unwrap();
        let gradients = tape.backward(&loss, seed).unwrap();
        [loss.flatten_all().unwrap()]
            .into_iter()
            .chain([&h, &table].map(|x| gradients[&x.id()].flatten_all().unwrap()))
            .map(|x| x.to_vec1::<f32>().unwrap())
            .collect::<Vec<_>>()
    };
    let length = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
    for (exact, rounded) in run(Products::F32).iter().zip(run(Products::Bf16)) {
        let gap: Vec<f32> = exact.iter().zip(rounded).map(|(x, y)| x - y).collect();
        let share = length(&gap) / length(exact);
        assert!(share < bound, "{share} with {interests} interests");
    }
}

#[test]
fn a_watched_item_gets_no_gradient() {
    let (h, table) = (random(&[1, 4], 1), random(&[8, 4], 2));
    let tape = Tape::recording();
    let loss = full_softmax(&tape, &h, &table, over(vec![4], watched(&[(0, 3)]), 1.0)).unwrap();
    let gradients = tape
        .backward(&loss, Tensor::new(1.0_f32, h.device()).unwrap())
        .unwrap();
    let rows = gradients[&table.id()].to_vec2::<f32>().unwrap();
    for item in [0, 1, 2, 3, 5] {
        assert_eq!(rows[item], [0.0; 4], "item {item}");
    }
    assert_ne!(rows[7], [0.0; 4]);
}

#[test]
fn the_backward_of_several_interests_agrees_with_differences() {
    let inputs = [random(&[9, 19], 1), random(&[8, 19], 2)];
    for active in [[3, 3, 3], [2, 3, 1]] {
        check(&inputs, |tape, inputs| {
            let watched = watched(&[(0, 2), (0, 3), (1, 1)]);
            let over = Over {
                active: Some(active.into()),
                ..over(vec![4, 5, 2], watched, 0.5)
            };
            full_softmax(tape, &inputs[0], &inputs[1], over)
        });
    }
}

#[test]
fn a_user_with_one_of_several_interests_is_a_user_with_one() {
    let (h, table) = (random(&[150, 8], 1), random(&[9, 8], 2));
    let targets: Vec<u32> = (0..50).map(|row| row % 7 + 2).collect();
    let first = (0..50).map(|user| 3 * user).collect::<Vec<u32>>();
    let first = Tensor::new(first, h.device()).unwrap();
    let alone = h.index_select(&first, 0).unwrap();
    let run = |h: &Tensor, active: Option<Arc<[u32]>>| {
        let tape = Tape::recording();
        let over = Over {
            active,
            ..over(targets.clone(), watched(&[(0, 3); 50]), 0.5)
        };
        let loss = full_softmax(&tape, h, &table, over).unwrap();
        let seed = Tensor::new(1.0_f32, h.device()).unwrap();
        let mut gradients = tape.backward(&loss, seed).unwrap();
        let mut of = |x: &Tensor| gradients.remove(&x.id()).unwrap();
        (loss.to_scalar::<f32>().unwrap(), of(h), of(&table))
    };
    let (loss, of_h, of_table) = run(&h, Some(vec![1; 50].into()));
    let (expected_loss, expected_of_h, expected_of_table) = run(&alone, None);
    assert!((loss / expected_loss - 1.0).abs() < 1e-5);
    let of_first = of_h.index_select(&first, 0).unwrap();
    for (found, expected) in [(of_first, expected_of_h), (of_table, expected_of_table)] {
        let gap = (found - expected).unwrap().abs().unwrap();
        assert!(gap.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-5);
    }
}

#[test]
fn only_the_winner_of_an_item_learns_from_it() {
    let device = candle_core::Device::Cpu;
    let h = Tensor::new(&[[1.0_f32, 0.0], [0.0, 1.0], [-1.0, -1.0]], &device).unwrap();
    let table = Tensor::new(
        &[[0.0_f32, 0.0], [0.0, 0.0], [2.0, 0.0], [0.0, 2.0]],
        &device,
    );
    let table = table.unwrap();
    let tape = Tape::recording();
    let over = over(vec![2], watched(&[(0, 0)]), 1.0);
    let loss = full_softmax(&tape, &h, &table, over).unwrap();
    assert!((loss.to_scalar::<f32>().unwrap() - 2.0_f32.ln()).abs() < 1e-6);
    let gradients = tape
        .backward(&loss, Tensor::new(1.0_f32, &device).unwrap())
        .unwrap();
    let of = |x: &Tensor| gradients[&x.id()].to_vec2::<f32>().unwrap();
    assert_eq!(of(&h), [[-1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]);
    assert_eq!(
        of(&table),
        [[0.0, 0.0], [0.0, 0.0], [-0.5, 0.0], [0.0, 0.5]]
    );
}
