//! SimilarItems on the wire.

use proto::v1 as pb;

use super::query::{MAX_EXCLUDED, check_coverage, page_size};
use crate::{
    config::RecallConfig,
    error::Error,
    filter::Filter,
    grpc::names,
    recall::similar::{Near, Nearness},
};

/// The most items to be near to: as many as a shard takes vectors.
const MAX_ITEMS: usize = 16;

/// Checks a request.
pub(super) fn read(
    request: pb::SimilarItemsRequest,
    limits: &RecallConfig,
) -> Result<Nearness, Error> {
    let k = page_size(request.page_size, limits)?;
    let named = names::ids("items", &request.items, MAX_ITEMS)?;
    if named.is_empty() {
        return Err(Error::field("items", "is empty, must have at least 1"));
    }
    let options = request.options.unwrap_or_default();
    check_coverage(&options)?;
    Ok(Nearness {
        items: named,
        k,
        exclude: names::ids("exclude", &request.exclude, MAX_EXCLUDED)?,
        filter: request.filter.and_then(Filter::new),
        exact: options.exact,
        with_item: options.with_item,
        min_coverage: options.min_coverage,
        generation: request.generation,
    })
}

/// The answer.
pub(super) fn write(asked: &Nearness, near: Near) -> pb::SimilarItemsResponse {
    let missing = asked.items.iter().copied();
    let missing = missing.filter(|id| near.missing.contains(id));
    let reasons = near.degraded.into_iter().map(pb::DegradedReason::from);
    pb::SimilarItemsResponse {
        missing: missing.map(names::of).collect(),
        candidates: near.candidates.into_iter().map(Into::into).collect(),
        generation: near.generation.manifest.id.clone(),
        space: near.generation.manifest.space.clone(),
        coverage: Some(near.coverage.into()),
        degraded_reasons: reasons.map(Into::into).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::config::{Config, DEFAULTS};

    fn asked(items: usize, exclude: usize, page_size: u32) -> Result<Nearness, String> {
        let limits = service::config::parse::<Config>(DEFAULTS).unwrap().recall;
        let request = pb::SimilarItemsRequest {
            items: vec![names::of(1); items],
            exclude: vec![names::of(2); exclude],
            page_size,
            ..Default::default()
        };
        read(request, &limits).map_err(|refused| refused.to_string())
    }

    #[test]
    fn fields_at_their_limits_are_taken_and_one_more_is_refused() {
        let taken = asked(16, 10_000, 1_000).unwrap();
        let found = (taken.items.len(), taken.exclude.len(), taken.k);
        assert_eq!(found, (16, 10_000, 1_000));
        for (items, exclude, page_size, expected) in [
            (17, 0, 10, "items: has 17 items, at most 16 are allowed"),
            (0, 0, 10, "items: is empty, must have at least 1"),
            (1, 0, 1_001, "page_size: is 1001, at most 1000 is allowed"),
            (
                1,
                10_001,
                10,
                "exclude: has 10001 items, at most 10000 are allowed",
            ),
        ] {
            let refused = asked(items, exclude, page_size).unwrap_err();
            assert_eq!(refused, expected);
        }
    }
}
