//! Compares hand-written backwards with finite differences (tests only).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{Device, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::kernels::tape::Tape;

/// Values of a small spread around zero, the same for the same seed.
pub(crate) fn random(shape: &[usize], seed: u64) -> Var {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap()
}

/// Checks the gradient of `sum(w * f(inputs))`, `w` random but fixed, against central differences in every entry.
pub(crate) fn check(inputs: &[Var], f: impl Fn(&Tape, &[Var]) -> candle_core::Result<Tensor>) {
    let weights = random(f(&Tape::off(), inputs).unwrap().dims(), 99);
    let loss = |inputs: &[Var]| {
        (f(&Tape::off(), inputs).unwrap() * weights.as_tensor())
            .unwrap()
            .sum_all()
            .unwrap()
    };
    let tape = Tape::recording();
    let out = f(&tape, inputs).unwrap();
    let gradients = tape.backward(&out, weights.as_tensor().clone()).unwrap();
    for (index, input) in inputs.iter().enumerate() {
        let found = gradients[&input.id()]
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        let start = input.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let at = |entry: usize, step: f32| {
            let mut moved = start.clone();
            moved[entry] += step;
            let moved = Tensor::from_vec(moved, input.shape(), &Device::Cpu).unwrap();
            let mut inputs = inputs.to_vec();
            inputs[index] = Var::from_tensor(&moved).unwrap();
            f64::from(loss(&inputs).to_scalar::<f32>().unwrap())
        };
        for (entry, &found) in found.iter().enumerate() {
            const STEP: f32 = 4e-3;
            let expected = (at(entry, STEP) - at(entry, -STEP)) / f64::from(2.0 * STEP);
            let error = (f64::from(found) - expected).abs() / expected.abs().max(1.0);
            assert!(
                error < 3e-3,
                "input {index}, entry {entry}: backward {found}, difference {expected}"
            );
        }
    }
}
