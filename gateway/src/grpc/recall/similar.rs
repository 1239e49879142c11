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
