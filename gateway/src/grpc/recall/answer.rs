//! An answer as it goes over the wire.

use std::time::Duration;

use proto::v1 as pb;

use crate::{
    answer::{Answer, Candidate, Coverage, Degraded},
    hit::Source,
    topology::Variant,
};

impl From<Answer> for pb::RecallResponse {
    fn from(answer: Answer) -> Self {
        let reasons = answer.degraded.into_iter().map(pb::DegradedReason::from);
        let timings = pb::StageTimings {
            embed: duration(answer.timings.embed),
            search: duration(answer.timings.search),
            total: duration(answer.timings.total),
        };
        Self {
            candidates: answer.candidates.into_iter().map(Into::into).collect(),
            generation: answer.generation,
            space: answer.space,
            coverage: Some(answer.coverage.into()),
            degraded_reasons: reasons.map(Into::into).collect(),
            timings: Some(timings),
            cold_start: answer.cold_start,
            variant: pb::Variant::from(answer.variant).into(),
            next_page_token: answer.next_page_token,
            recall_token: answer.recall_token,
        }
    }
}

impl From<Candidate> for pb::Candidate {
    fn from(Candidate { hit, item }: Candidate) -> Self {
        let source = match hit.source {
            Source::Ann => pb::Source::Ann,
            Source::Exact => pb::Source::Exact,
            Source::Popular => pb::Source::Popular,
            Source::Fresh => pb::Source::Fresh,
        };
        Self {
            id: hit.id,
            score: hit.score,
            interest: hit.interest,
            source: source.into(),
            item: item.map(|item| item.0),
        }
    }
}

impl From<Coverage> for pb::Coverage {
    fn from(coverage: Coverage) -> Self {
        Self {
            fraction: coverage.fraction(),
            items_searched: coverage.items_searched,
            items_eligible: coverage.items_eligible,
            items_total: coverage.items_total,
            shards_answered: coverage.shards_answered,
            shards_total: coverage.shards_total,
            exact: coverage.exact,
            items_fresh: coverage.items_fresh,
            delta: coverage.delta,
        }
    }
}

impl From<Variant> for pb::Variant {
    fn from(variant: Variant) -> Self {
        match variant {
            Variant::Serving => Self::Serving,
            Variant::Candidate => Self::Candidate,
            Variant::Named => Self::Named,
        }
    }
}

impl From<Degraded> for pb::DegradedReason {
    fn from(degraded: Degraded) -> Self {
        match degraded {
            Degraded::ShardUnreachable => Self::ShardUnreachable,
            Degraded::Deadline => Self::Deadline,
            Degraded::UserTowerDown => Self::UserTowerDown,
            Degraded::FallbackPopular => Self::FallbackPopular,
            Degraded::ItemsMissing => Self::ItemsMissing,
            Degraded::StaleHistory => Self::StaleHistory,
        }
    }
}

/// A time as the wire has it; none if it is too long.
pub(crate) fn duration(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}
