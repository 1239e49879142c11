//! The figures of the artifact by groups of users: whom it serves well, and on which items.
//!
//! Every kind of slice shares out all users: the weighted mean over its slices is the figure over all. A user counts once
//! in each kind, except by genre, where one whose item has `n` genres counts `1/n` in each.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    dataset::{
        Dataset,
        split::{Sequence, Split},
    },
    evaluate::slices::kinds::Kind,
};

mod kinds;
mod table;

pub(crate) use self::table::write;

/// The users of one value of a kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slice {
    /// What tells the users apart, e.g. `history length`.
    pub kind: &'static str,
    /// Their value, e.g. `21 to 50`.
    pub value: String,
    /// How many users have it.
    pub users: usize,
    /// How many users it counts for.
    pub weight: f64,
    /// Share of users whose target is among the first 10, seen items excluded.
    #[serde(rename = "hr@10")]
    pub hr_10: Mean,
    /// Mean of `1 / log2(rank + 1)` over targets among the first 10, ranks from 1.
    #[serde(rename = "ndcg@10")]
    pub ndcg_10: Mean,
    /// Share of users whose target is among the first 50.
    #[serde(rename = "hr@50")]
    pub hr_50: Mean,
}

/// A weighted mean over users.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Its standard error: the root of the sum of `(w (x - mean))^2`, over the sum of `w`.
    pub error: f64,
}

/// Slices the ranks of `users`, from 0, in every way that the dataset allows.
pub(crate) fn slices(
    dataset: &Dataset,
    split: &Split,
    users: &[&Sequence],
    ranks: &[Option<u32>],
) -> Vec<Slice> {
    let kinds = kinds::all(dataset, split, users);
    kinds.iter().flat_map(|kind| of_kind(kind, ranks)).collect()
}

/// Slices of one kind that somebody is in, in the kind's order.
fn of_kind(kind: &Kind, ranks: &[Option<u32>]) -> Vec<Slice> {
    let mut members: BTreeMap<usize, Vec<(f64, Option<u32>)>> = BTreeMap::new();
    for (shares, &rank) in kind.shares.iter().zip(ranks) {
        for &(value, weight) in shares {
            members.entry(value).or_default().push((weight, rank));
        }
    }
    let slice = |(value, members): (&usize, &Vec<(f64, Option<u32>)>)| Slice {
        kind: kind.name,
        value: kind.values[*value].clone(),
        users: members.len(),
        weight: members.iter().map(|(weight, _)| weight).sum(),
        hr_10: mean(members, |rank| f64::from(u8::from(rank < 10))),
        ndcg_10: mean(members, |rank| match rank < 10 {
            true => 1.0 / f64::from(rank + 2).log2(),
            false => 0.0,
        }),
        hr_50: mean(members, |rank| f64::from(u8::from(rank < 50))),
    };
    members.iter().map(slice).collect()
}

fn mean(members: &[(f64, Option<u32>)], gain: impl Fn(u32) -> f64) -> Mean {
    let weighted = || {
        members
            .iter()
            .map(|&(weight, rank)| (weight, rank.map_or(0.0, &gain)))
    };
    let total: f64 = weighted().map(|(weight, _)| weight).sum();
    let mean = weighted().map(|(weight, gain)| weight * gain).sum::<f64>() / total;
    let spread: f64 = weighted()
        .map(|(weight, gain)| (weight * (gain - mean)).powi(2))
        .sum();
    Mean {
        mean,
        error: spread.sqrt() / total,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::Ranking;

    type Shares = Vec<Vec<(usize, f64)>>;

    /// Any shares of any users over four values, each user's summing to 1, beside any ranks.
    fn shared() -> impl Strategy<Value = (Shares, Vec<Option<u32>>)> {
        let user = prop::collection::btree_set(0..4_usize, 1..4).prop_map(|values| {
            let share = 1.0 / values.len() as f64;
            values
                .into_iter()
                .map(|value| (value, share))
                .collect::<Vec<_>>()
        });
        let users = prop::collection::vec((user, prop::option::of(0..90_u32)), 1..60);
        users.prop_map(|users| users.into_iter().unzip())
    }

    proptest! {
        #[test]
        fn the_weighted_mean_over_a_kind_is_the_figure_over_all((shares, ranks) in shared()) {
            let kind = Kind { name: "any", values: (0..4).map(|value| value.to_string()).collect(), shares };
            let slices = of_kind(&kind, &ranks);
            let figures = Ranking { ranks: ranks.clone(), coverage: 0.0 }.figures();
            let weight: f64 = slices.iter().map(|slice| slice.weight).sum();
            prop_assert!((weight - ranks.len() as f64).abs() < 1e-9);
            let over = |of: fn(&Slice) -> Mean| slices.iter().map(|slice| slice.weight * of(slice).mean).sum::<f64>() / weight;
            prop_assert!((over(|slice| slice.hr_10) - figures.hr_10).abs() < 1e-9);
            prop_assert!((over(|slice| slice.ndcg_10) - figures.ndcg_10).abs() < 1e-9);
            prop_assert!((over(|slice| slice.hr_50) - figures.hr_50).abs() < 1e-9);
        }
    }

    #[test]
    fn the_error_of_a_share_is_the_root_of_p_times_1_minus_p_over_n() {
        let members: Vec<_> = (0..100).map(|rank| (1.0, Some(rank))).collect();
        let share = mean(&members, |rank| f64::from(u8::from(rank < 10)));
        assert!((share.mean - 0.1).abs() < 1e-12);
        assert!((share.error - (0.1 * 0.9 / 100.0_f64).sqrt()).abs() < 1e-12);
    }
}
