//! Id dropout: in training some items stand for themselves by their content alone, so that an unseen item can too.

use candle_core::{Result, Tensor};

use crate::kernels::bag::{Bags, add_bags, bag_sum};
use crate::kernels::tape::Tape;
use crate::model::attention::{Drops, mix};
use crate::model::vocabulary::{RESERVED, UNKNOWN};
use crate::model::{Parameters, parameter};

/// Sets these draws apart from those of the other drops.
const PURPOSE: u64 = 0x636f_6c64;

/// The items that a step ranks, `[items + 2, d]`: those of `items`, but for a share `rate` of them, drawn anew each step,
/// the row `<unk>` of `item.id` stands in for their own (DropoutNet, Volkovs et al., NeurIPS 2017).
///
/// This is how `<unk>` is trained, and what the item tower gives for an id that it does not know. Histories are read with
/// every id, as serving reads them: it leaves out items that the model does not know. Nothing is dropped outside training.
pub(crate) fn ranked(
    tape: &Tape,
    rate: f32,
    parameters: &Parameters,
    features: &[(String, Bags)],
    items: &Tensor,
    drops: Drops,
) -> Result<Tensor> {
    let seed = match drops.seed {
        Some(seed) if rate > 0.0 => mix(seed ^ PURPOSE),
        _ => return Ok(items.clone()),
    };
    let id = parameter(parameters, "item.id")?;
    let ids = Bags::single(dropped(id.dim(0)? as u32, rate, seed));
    let base = bag_sum(tape, id, &ids)?;
    features.iter().try_fold(base, |sum, (feature, bags)| {
        let table = parameter(parameters, &format!("item.{feature}"))?;
        add_bags(tape, &sum, table, bags)
    })
}

/// The id that stands for each of `rows` ids.
fn dropped(rows: u32, rate: f32, seed: u64) -> Vec<u32> {
    let share = |row: u32| mix(seed ^ u64::from(row)) as f64 / u64::MAX as f64;
    let stands_for = |row: u32| match row as usize >= RESERVED && share(row) < f64::from(rate) {
        true => UNKNOWN,
        false => row,
    };
    (0..rows).map(stands_for).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use candle_core::Device;

    use super::*;
    use crate::kernels::gradient;

    #[test]
    fn about_the_share_is_dropped_another_one_each_step_and_never_the_reserved_ids() {
        let drawn = |seed| dropped(10_002, 0.3, seed);
        let unknown = drawn(1).iter().filter(|&&id| id == UNKNOWN).count() - 1;
        assert!((2_850..3_150).contains(&unknown), "{unknown}");
        assert_eq!(drawn(1)[..2], [0, 1]);
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }

    fn parameters() -> Parameters {
        let table = |rows: usize| {
            let values: Vec<f32> = (0..rows * 3).map(|x| (x as f32 * 0.7).sin()).collect();
            Tensor::from_vec(values, (rows, 3), &Device::Cpu).unwrap()
        };
        [("item.id", table(8)), ("item.genres", table(4))]
            .map(|(name, table)| (name.to_owned(), table))
            .into()
    }

    fn genres() -> Vec<(String, Bags)> {
        let ids: Vec<u32> = vec![0, 0, 2, 3, 2, 1, 3, 2];
        vec![("genres".to_owned(), Bags::single(ids))]
    }

    #[test]
    fn a_dropped_item_is_the_unknown_row_and_its_content() {
        let parameters = parameters();
        let seed = Some(5);
        let off = Tape::off();
        let items = crate::model::attention::items(&off, &parameters, &genres()).unwrap();
        let ranked = ranked(&off, 0.5, &parameters, &genres(), &items, Drops { seed }).unwrap();
        let ids = dropped(8, 0.5, mix(5 ^ PURPOSE));
        let rows = |tensor: &Tensor| tensor.to_vec2::<f32>().unwrap();
        let (items, ranked, id) = (rows(&items), rows(&ranked), rows(&parameters["item.id"]));
        assert!(ids[2..].contains(&UNKNOWN) && ids[2..].iter().any(|&id| id != UNKNOWN));
        for row in 2..8 {
            for at in 0..3 {
                let moved = id[ids[row] as usize][at] - id[row][at];
                assert!((ranked[row][at] - items[row][at] - moved).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn nothing_is_dropped_outside_training() {
        let parameters = parameters();
        let off = Tape::off();
        let items = crate::model::attention::items(&off, &parameters, &genres()).unwrap();
        let drops = Drops { seed: None };
        let ranked = ranked(&off, 0.5, &parameters, &genres(), &items, drops).unwrap();
        assert_eq!(
            ranked.to_vec2::<f32>().unwrap(),
            items.to_vec2::<f32>().unwrap()
        );
    }

    #[test]
    fn the_unknown_row_learns_from_every_dropped_item() {
        let parameters = parameters();
        gradient::check(&[gradient::random(&[8, 3], 1)], |tape, leaves| {
            let mut parameters = parameters.clone();
            parameters.insert("item.id".to_owned(), leaves[0].as_tensor().clone());
            let drops = Drops { seed: Some(5) };
            ranked(tape, 0.5, &parameters, &genres(), &leaves[0], drops)
        });
    }
}
