//! How candidates are to differ, as a request says it.

use std::ops::RangeInclusive;

use proto::v1 as pb;

use crate::{
    diversity::{Cap, Diversity},
    error::Error,
};

/// The most weights of interests, and the most caps.
const MAX_WEIGHTS: usize = 64;
const MAX_CAPS: usize = 8;
/// Weights that leave vectors comparable.
const WEIGHTS: RangeInclusive<f32> = 1e-3..=1e3;

/// Checks a wish.
pub(super) fn diversity(diversity: pb::Diversity) -> Result<Diversity, Error> {
    let pb::Diversity {
        interest_weights: weights,
        interest_quota,
        mmr_lambda,
        caps,
    } = diversity;
    let lambda = mmr_lambda.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&lambda) {
        let description = format!("is {lambda}, must be between 0 and 1");
        return Err(Error::field("diversity.mmr_lambda", description));
    }
    for (field, found, most) in [
        ("diversity.interest_weights", weights.len(), MAX_WEIGHTS),
        ("diversity.caps", caps.len(), MAX_CAPS),
    ] {
        if found > most {
            let description = format!("has {found}, at most {most} are allowed");
            return Err(Error::field(field, description));
        }
    }
    let usable = |weight: &f32| *weight == 0.0 || WEIGHTS.contains(weight);
    if let Some(at) = weights.iter().position(|weight| !usable(weight)) {
        let description = format!("is {}, must be 0 or from 0.001 to 1000", weights[at]);
        return Err(Error::field(
            format!("diversity.interest_weights[{at}]"),
            description,
        ));
    }
    if !weights.is_empty() && weights.iter().all(|weight| *weight == 0.0) {
        let description = "are all 0, so that nothing is left to search with";
        return Err(Error::field("diversity.interest_weights", description));
    }
    let cap = |(at, cap): (usize, pb::AttributeCap)| match (cap.attribute.as_str(), cap.most) {
        ("", _) => {
            let field = format!("diversity.caps[{at}].attribute");
            Err(Error::field(field, "is empty"))
        }
        (_, 0) => {
            let field = format!("diversity.caps[{at}].most");
            Err(Error::field(field, "is 0, must be at least 1"))
        }
        _ => Ok(Cap {
            attribute: cap.attribute,
            most: cap.most as usize,
        }),
    };
    Ok(Diversity {
        weights,
        quota: interest_quota as usize,
        lambda,
        caps: caps
            .into_iter()
            .enumerate()
            .map(cap)
            .collect::<Result<_, _>>()?,
    })
}
