//! Explanations, each told again by embedding who is left without the event.

use std::collections::BTreeSet;

use proto::v1::{
    ExplainRecallRequest, GetUserRequest, ItemRef, UserContext, UserQuery,
    event_service_client::EventServiceClient, item_ref::Name,
};

use crate::{
    Figure,
    site::{Site, exactly, stored},
};

/// Scores this close are equal: the batch and the order of sums change the last bits.
const TIE: f32 = 1e-4;

pub(crate) async fn measure(site: &Site, users: usize) -> anyhow::Result<Vec<Figure>> {
    let (mut checked, mut wrong, mut with_attention) = (0, 0, 0);
    for (user, _) in site
        .tests
        .iter()
        .skip(3)
        .step_by(site.tests.len() / users)
        .take(users)
    {
        let request = ExplainRecallRequest {
            recall: Some(exactly(user, 3)),
            items: Vec::new(),
            reasons: 2,
        };
        let explained = site.recalls().explain_recall(request).await?.into_inner();
        let request = GetUserRequest {
            user_id: user.clone(),
            newest: 1_000,
            ..GetUserRequest::default()
        };
        let mut events = EventServiceClient::new(site.gateway());
        let whole = events.get_user(request).await?.into_inner();
        let seen: BTreeSet<u64> = site.known(stored(user)).await?.seen;
        for explanation in explained.explanations {
            let target = explanation.candidate.map_or(0, |candidate| candidate.id);
            for reason in explanation.reasons {
                let left_out = reason.item.map_or(0, |item| item.id);
                let left_out = Some(ItemRef {
                    name: Some(Name::Id(left_out)),
                });
                let mut history = whole.history.clone();
                history.retain(|event| event.item != left_out);
                let described = UserQuery {
                    context: Some(UserContext {
                        features: whole.profile.clone(),
                        history,
                    }),
                    ..UserQuery::default()
                };
                let without = site.known(described).await?;
                let ranking = without.ranking(&site.vectors, |id| !seen.contains(&id));
                let score = without.score(&site.vectors[&target]);
                // Items of almost the same score may change places.
                let better = ranking
                    .iter()
                    .filter(|(_, other)| *other > score + TIE)
                    .count();
                let no_worse = ranking
                    .iter()
                    .filter(|(_, other)| *other >= score - TIE)
                    .count();
                let rank = match reason.rank_without {
                    0 => no_worse > 1_000,
                    rank => (better + 1..=no_worse).contains(&(rank as usize)),
                };
                let told = reason
                    .score_without
                    .is_some_and(|told| (told - score).abs() <= TIE);
                checked += 1;
                wrong += usize::from(!(rank && told));
                with_attention += usize::from(reason.attention.is_some());
            }
        }
    }
    Ok(vec![
        (
            "counterfactual_checked".to_owned(),
            checked as f64,
            "reasons",
            "",
        ),
        (
            "counterfactual_wrong".to_owned(),
            wrong as f64,
            "reasons",
            "0",
        ),
        (
            "reasons_with_attention".to_owned(),
            with_attention as f64,
            "reasons",
            "",
        ),
    ])
}
