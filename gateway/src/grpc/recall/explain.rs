//! ExplainRecall on the wire.

use proto::v1 as pb;

use crate::{
    error::Error,
    grpc::names,
    recall::explain::{Explained, Question, Reason},
};

/// The most items of one call, and the most reasons of each.
const MAX_ITEMS: usize = 10;
const MAX_REASONS: u32 = 10;
/// Reasons of an item if the caller does not say how many.
const REASONS: u32 = 3;

/// Takes the recall and what is asked of it.
pub(super) fn read(
    request: pb::ExplainRecallRequest,
) -> Result<(pb::RecallRequest, Question), Error> {
    let recall = request.recall.unwrap_or_default();
    for (field, is_there) in [
        ("recall.diversity", recall.diversity.is_some()),
        ("recall.blend", recall.blend.is_some()),
        ("recall.page_token", !recall.page_token.is_empty()),
    ] {
        if is_there {
            let description = "is there, but only the order by score is explained";
            return Err(Error::field(field, description));
        }
    }
    let reasons = match request.reasons {
        0 => REASONS,
        reasons if reasons <= MAX_REASONS => reasons,
        reasons => {
            let description = format!("is {reasons}, at most {MAX_REASONS} are allowed");
            return Err(Error::field("reasons", description));
        }
    };
    let question = Question {
        items: names::ids("items", &request.items, MAX_ITEMS)?,
        reasons: reasons as usize,
    };
    Ok((recall, question))
}

/// The answer.
pub(super) fn write(explained: Explained) -> pb::ExplainRecallResponse {
    pb::ExplainRecallResponse {
        missing: explained.missing.into_iter().map(names::of).collect(),
        explanations: explained
            .explanations
            .into_iter()
            .map(|explanation| pb::Explanation {
                candidate: Some(explanation.candidate.into()),
                rank: explanation.rank,
                reasons: explanation.reasons.into_iter().map(reason).collect(),
            })
            .collect(),
        generation: explained.generation.manifest.id.clone(),
        space: explained.generation.manifest.space.clone(),
        variant: pb::Variant::from(explained.variant).into(),
    }
}

fn reason(reason: Reason) -> pb::Reason {
    let bare = || pb::Item {
        id: reason.id,
        ..pb::Item::default()
    };
    pb::Reason {
        item: Some(reason.item.map_or_else(bare, |item| item.0)),
        similarity: reason.similarity,
        attention: reason.attention,
        score_without: reason.score_without,
        rank_without: reason.rank_without,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(items: usize, reasons: u32) -> Result<usize, String> {
        let request = pb::ExplainRecallRequest {
            items: vec![names::of(1); items],
            reasons,
            ..Default::default()
        };
        let read = read(request).map_err(|refused| refused.to_string());
        read.map(|(_, question)| question.items.len())
    }

    #[test]
    fn items_and_reasons_at_their_limits_are_taken_and_one_more_is_refused() {
        assert_eq!(asked(10, 10), Ok(10));
        let items = "items: has 11 items, at most 10 are allowed";
        assert_eq!(asked(11, 10), Err(items.to_owned()));
        let reasons = "reasons: is 11, at most 10 are allowed";
        assert_eq!(asked(10, 11), Err(reasons.to_owned()));
    }
}
