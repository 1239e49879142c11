//! SimilarItems on the wire.

use proto::v1 as pb;

use super::{
    explain::named,
    query::{MAX_EXCLUDED, items},
};
use crate::{
    config::RecallConfig,
    error::Error,
    filter::Filter,
    recall::similar::{Near, Nearness},
};

/// The most items to be near to: as many as a shard takes vectors.
const MAX_ITEMS: usize = 16;

/// Checks a request.
pub(super) fn read(
    request: pb::SimilarItemsRequest,
    limits: &RecallConfig,
) -> Result<Nearness, Error> {
    let (page_size, most) = (request.page_size, limits.max_page_size);
    if page_size > most {
        let description = format!("is {page_size}, at most {most} is allowed");
        return Err(Error::field("page_size", description));
    }
    let named = items("items", request.items, MAX_ITEMS)?;
    if named.is_empty() {
        return Err(Error::field("items", "is empty, must have at least 1"));
    }
    let options = request.options.unwrap_or_default();
    let min_coverage = options.min_coverage;
    if !(0.0..=1.0).contains(&min_coverage) {
        let description = format!("is {min_coverage}, must be between 0 and 1");
        return Err(Error::field("options.min_coverage", description));
    }
    Ok(Nearness {
        items: named,
        k: match page_size {
            0 => limits.page_size,
            page_size => page_size,
        } as usize,
        exclude: items("exclude", request.exclude, MAX_EXCLUDED)?,
        filter: request.filter.and_then(Filter::new),
        exact: options.exact,
        with_item: options.with_item,
        min_coverage,
        generation: request.generation,
    })
}

/// The answer.
pub(super) fn write(asked: &Nearness, near: Near) -> pb::SimilarItemsResponse {
    let missing = asked.items.iter().copied();
    let missing = missing.filter(|id| near.missing.contains(id));
    let reasons = near.degraded.into_iter().map(pb::DegradedReason::from);
    pb::SimilarItemsResponse {
        missing: missing.map(named).collect(),
        candidates: near.candidates.into_iter().map(Into::into).collect(),
        generation: near.generation.manifest.id.clone(),
        space: near.generation.manifest.space.clone(),
        coverage: Some(near.coverage.into()),
        degraded_reasons: reasons.map(Into::into).collect(),
    }
}
