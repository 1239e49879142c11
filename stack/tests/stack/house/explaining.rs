//! Scores of items that the caller names, and why items stand where they do.

use proto::v1::{
    ExplainRecallRequest, GetUserRequest, RecallRequest, ScoreItemsRequest, UserContext, UserQuery,
    event_service_client::EventServiceClient, recall_service_client::RecallServiceClient,
};

use crate::house::{
    recall::{item, user},
    support::{RUNTIME, SMALL},
    truth::{Truth, dot},
};

async fn client() -> RecallServiceClient<tonic::transport::Channel> {
    RecallServiceClient::new(SMALL.gateway().await)
}

#[test]
fn named_items_are_scored_exactly_those_that_were_seen_too() {
    RUNTIME.block_on(async {
        let user_id = user(15).user_id;
        let truth = Truth::of(UserQuery {
            user_id: user_id.clone(),
            ..Default::default()
        })
        .await;
        let seen = truth.seen.iter().copied().take(2);
        let unseen = truth.ranking().into_iter().skip(20).take(2);
        let mut asked: Vec<u64> = seen.chain(unseen).collect();
        let request = ScoreItemsRequest {
            user_id,
            items: asked
                .iter()
                .copied()
                .chain([1 << 60])
                .filter_map(item)
                .collect(),
            with_item: true,
            ..Default::default()
        };
        let answer = client()
            .await
            .score_items(request)
            .await
            .unwrap()
            .into_inner();
        asked.sort_by(|a, b| truth.score(*b).total_cmp(&truth.score(*a)));
        let found: Vec<u64> = answer.candidates.iter().map(|one| one.id).collect();
        assert_eq!(found, asked);
        for one in &answer.candidates {
            assert!((one.score - truth.score(one.id)).abs() < 1e-5);
            assert!(!one.item.as_ref().unwrap().title.is_empty());
        }
        assert_eq!(answer.missing, [item(1 << 60).unwrap()]);
        assert!(answer.degraded_reasons.is_empty());
    });
}

#[test]
fn reasons_are_what_a_user_without_the_event_would_have_been_recommended() {
    RUNTIME.block_on(async {
        let user_id = user(16).user_id;
        let named = UserQuery {
            user_id: user_id.clone(),
            ..Default::default()
        };
        let truth = Truth::of(named).await;
        let ranking = truth.ranking();
        let targets = [ranking[0], ranking[30]];
        let request = ExplainRecallRequest {
            recall: Some(RecallRequest {
                user_id: user_id.clone(),
                ..Default::default()
            }),
            items: targets.iter().filter_map(|id| item(*id)).collect(),
            reasons: 2,
        };
        let explained = client()
            .await
            .explain_recall(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(explained.generation, SMALL.generation);

        let request = GetUserRequest {
            user_id,
            newest: 1_000,
            ..Default::default()
        };
        let mut events = EventServiceClient::new(SMALL.gateway().await);
        let stored = events.get_user(request).await.unwrap().into_inner();
        for ((explanation, target), rank) in explained.explanations.iter().zip(targets).zip([1, 31])
        {
            let candidate = explanation.candidate.as_ref().unwrap();
            assert_eq!((candidate.id, explanation.rank), (target, rank));
            assert!((candidate.score - truth.score(target)).abs() < 1e-5);

            // The nearest of what was seen.
            let cosine = |id: u64| {
                let (a, b) = (&truth.vectors[&id], &truth.vectors[&target]);
                dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
            };
            let mut near: Vec<u64> = truth.seen.iter().copied().collect();
            near.retain(|id| truth.vectors.contains_key(id));
            near.sort_by(|a, b| cosine(*b).total_cmp(&cosine(*a)));
            let reasons: Vec<u64> = explanation
                .reasons
                .iter()
                .map(|reason| reason.item.as_ref().unwrap().id)
                .collect();
            assert_eq!(reasons, near[..2]);

            // Whoever never had an event with it is embedded from the events that are left.
            for reason in &explanation.reasons {
                let left_out = item(reason.item.as_ref().unwrap().id);
                let mut history = stored.history.clone();
                history.retain(|event| event.item != left_out);
                let described = UserQuery {
                    context: Some(UserContext {
                        features: stored.profile.clone(),
                        history,
                    }),
                    ..Default::default()
                };
                let mut without = Truth::of(described).await;
                without.seen.clone_from(&truth.seen);
                let score = without.score(target);
                assert!((reason.score_without.unwrap() - score).abs() < 1e-5);
                let rank = without
                    .ranking()
                    .iter()
                    .position(|id| *id == target)
                    .unwrap();
                assert_eq!(reason.rank_without as usize, rank + 1);
                assert!(
                    (reason.similarity - cosine(reason.item.as_ref().unwrap().id)).abs() < 1e-5
                );
            }
        }
    });
}
