//! ScoreItems on the wire.

use proto::v1 as pb;

use crate::{answer::Degraded, error::Error, grpc::names, recall::score::Scored};

/// The most items of one call.
const MAX_ITEMS: usize = 1_000;

/// Takes the user, as of a recall, and the items.
pub(super) fn read(request: pb::ScoreItemsRequest) -> Result<(pb::RecallRequest, Vec<u64>), Error> {
    let mut items = names::ids("items", &request.items, MAX_ITEMS)?;
    if items.is_empty() {
        return Err(Error::field("items", "is empty, must have at least 1"));
    }
    items.sort_unstable();
    items.dedup();
    let recall = pb::RecallRequest {
        user_id: request.user_id,
        context: request.context,
        consistency_token: request.consistency_token,
        generation: request.generation,
        experiment_unit: request.experiment_unit,
        options: Some(pb::RecallOptions {
            reproducible: request.reproducible,
            with_item: request.with_item,
            ..pb::RecallOptions::default()
        }),
        ..pb::RecallRequest::default()
    };
    Ok((recall, items))
}

/// The answer.
pub(super) fn write(asked: &[u64], scored: Scored) -> pb::ScoreItemsResponse {
    let mut found: Vec<u64> = scored.candidates.iter().map(|one| one.hit.id).collect();
    found.sort_unstable();
    // Where a shard gave no answer, nobody knows what it has.
    let lost = [Degraded::ShardUnreachable, Degraded::Deadline];
    let whole = !lost.iter().any(|reason| scored.degraded.contains(reason));
    let missing = asked
        .iter()
        .filter(|id| whole && found.binary_search(id).is_err());
    let reasons = scored.degraded.into_iter().map(pb::DegradedReason::from);
    pb::ScoreItemsResponse {
        missing: missing.copied().map(names::of).collect(),
        candidates: scored.candidates.into_iter().map(Into::into).collect(),
        generation: scored.generation.manifest.id.clone(),
        space: scored.generation.manifest.space.clone(),
        degraded_reasons: reasons.map(Into::into).collect(),
        cold_start: scored.cold_start,
        variant: pb::Variant::from(scored.variant).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(items: u64) -> Result<usize, String> {
        let request = pb::ScoreItemsRequest {
            items: (0..items).map(names::of).collect(),
            ..Default::default()
        };
        let read = read(request).map_err(|refused| refused.to_string());
        read.map(|(_, items)| items.len())
    }

    #[test]
    fn items_at_the_limit_are_taken_and_none_or_one_more_are_refused() {
        assert_eq!(asked(1_000), Ok(1_000));
        let over = "items: has 1001 items, at most 1000 are allowed";
        assert_eq!(asked(1_001), Err(over.to_owned()));
        let none = "items: is empty, must have at least 1";
        assert_eq!(asked(0), Err(none.to_owned()));
    }
}
