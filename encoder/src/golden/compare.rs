//! Compares what raw rows became with their golden values.

use crate::{
    artifact::Artifact,
    error::Error,
    features::tensors::Tensor,
    gather::ItemVectors,
    golden::{Raw, Set, TOLERANCE},
};

/// Repeats rows until there are `count`.
pub(super) fn cycle<T: Clone>(rows: &[T], count: usize) -> Vec<T> {
    rows.iter().cycle().take(count).cloned().collect()
}

/// Compares vectors made at a batch bucket with the golden ones; row `i` is golden row `i mod rows`.
pub(super) fn rows(
    set: usize,
    bucket: usize,
    rows: usize,
    found: &[f32],
    golden: &[f32],
) -> Result<(), Error> {
    let size = golden.len() / rows;
    for (at, value) in found.iter().enumerate() {
        let (row, place) = (at / size % rows, at % size);
        let expected = golden[row * size + place];
        if expected.is_nan() || (value - expected).abs() > TOLERANCE {
            return Err(Error::GoldenMismatch {
                set,
                problem: format!(
                    "number {place} of row {row} is {value} at batch {bucket}, golden {expected}"
                ),
            });
        }
    }
    Ok(())
}

/// Compares the tensors that the raw rows become with the golden ones, if there are any.
pub(super) fn inputs(
    artifact: &Artifact,
    at: usize,
    set: &Set,
    vectors: Option<&dyn ItemVectors>,
) -> Result<(), Error> {
    if set.inputs.is_empty() {
        return Ok(());
    }
    let (tensors, inputs) = match &set.raw {
        Raw::User(users) => (
            artifact
                .user_tensors()
                .batch_with(users, users.len(), vectors)
                .tensors,
            &artifact.signature().user.inputs,
        ),
        Raw::Item(items) => (
            artifact.item_tensors().batch(items, items.len()),
            &artifact.signature().item.inputs,
        ),
    };
    for ((found, golden), input) in tensors.iter().zip(&set.inputs).zip(inputs) {
        if let Some(problem) = difference(found, golden) {
            return Err(Error::GoldenMismatch {
                set: at,
                problem: format!("input `{}` from {}: {problem}", input.name, input.source),
            });
        }
    }
    Ok(())
}

fn difference(found: &Tensor, golden: &Tensor) -> Option<String> {
    if found.shape != golden.shape {
        return Some(format!(
            "shape {:?}, golden {:?}",
            found.shape, golden.shape
        ));
    }
    (0..found.data.len()).find_map(|at| {
        let (ours, theirs) = (found.data.number(at), golden.data.number(at));
        let equal = (ours - theirs).abs() <= f64::from(TOLERANCE) * theirs.abs().max(1.0);
        (!equal).then(|| format!("element {at} is {ours}, golden {theirs}"))
    })
}
