//! Compares the exported towers in ONNX Runtime with the trainer, from the same raw features.

use encoder::{
    artifact::Artifact,
    golden::TOLERANCE,
    session::{ItemEncoder, UserEncoder},
};

use crate::{
    export::{error::Error, rows},
    model::trained::Trained,
};

/// Users compared.
const USERS: usize = 256;
/// Items compared at most.
const ITEMS: usize = 16_384;
const SEED: u64 = 7;

/// How far the towers are apart at most.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Parity {
    /// Largest difference of a number of a user's vector.
    pub user: f32,
    /// Largest difference of a number of an item's vector.
    pub item: f32,
}

/// Measures how far ONNX Runtime and the trainer are apart.
///
/// # Errors
/// [`Error::Parity`] if it is more than [`TOLERANCE`].
pub(super) fn check(trained: &Trained, artifact: &Artifact) -> Result<Parity, Error> {
    let dim = trained.recipe.dim();
    let mut users = rows::strange_users(trained);
    users.extend(rows::users(trained, USERS, SEED));
    let found = UserEncoder::open(artifact, 1)?.encode(&users)?.values;
    let user = compare(
        "user",
        trained.recipe.interests() * dim,
        &found,
        &trained.embed_users(&users)?.values,
    )?;

    let mut items = rows::strange_items(trained);
    items.extend(rows::items(trained)?.into_iter().take(ITEMS));
    let found = ItemEncoder::open(artifact, 1)?.encode(&items)?.values;
    let item = compare("item", dim, &found, &trained.embed_items(&items)?.values)?;
    Ok(Parity { user, item })
}

fn compare(tower: &'static str, dim: usize, found: &[f32], expected: &[f32]) -> Result<f32, Error> {
    let mut largest = 0.0_f32;
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs();
        if difference.is_nan() || difference > TOLERANCE {
            return Err(Error::Parity {
                tower,
                place: format!("number {} of row {}", at % dim, at / dim),
                found: *found,
                expected: *expected,
                tolerance: TOLERANCE,
            });
        }
        largest = largest.max(difference);
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_difference_above_the_tolerance_is_refused_with_both_numbers_and_the_place() {
        assert_eq!(compare("user", 2, &[1.0, 2.0], &[1.0, 2.0]).unwrap(), 0.0);
        let refusal = compare("user", 2, &[0.0, 0.0, 0.0, 1.0], &[0.0, 0.0, 0.0, 1.5]).unwrap_err();
        let said = refusal.to_string();
        assert!(
            said.contains("1 in ONNX Runtime and 1.5 in the trainer, at number 1 of row 1"),
            "{said}"
        );
        assert!(compare("item", 1, &[f32::NAN], &[0.0]).is_err());
    }
}
