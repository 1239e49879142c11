//! A candidate on trial: its share of the users, and what it answers unseen.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use proto::v1::{
    GetVerdictRequest, PromoteGenerationRequest, ReplayRecallRequest, SetTrafficPolicyRequest,
    Variant, traffic_service_client::TrafficServiceClient,
};

use crate::{
    Figure,
    site::{Site, exactly},
};

const SHARE: f64 = 0.3;
const SHADOWED: usize = 1_000;
const REPLAYED: usize = 100;
const AT_ONCE: usize = 4;

pub(crate) async fn measure(site: &Site) -> anyhow::Result<Vec<Figure>> {
    let candidate = site.publish().await?;
    let mut traffic = TrafficServiceClient::new(site.gateway());
    // The one that served before serves again; the new one is on trial.
    traffic
        .promote_generation(PromoteGenerationRequest {
            generation: site.generation.clone(),
        })
        .await?;
    let policy = |candidate_share, shadow_share| SetTrafficPolicyRequest {
        candidate: candidate.clone(),
        candidate_share,
        shadow_share,
    };
    traffic.set_traffic_policy(policy(SHARE, 0.0)).await?;
    let variants = site.tests.iter().map(|(user, _)| async move {
        Ok::<_, anyhow::Error>(site.recall(exactly(user, 1)).await?.variant())
    });
    let variants: Vec<Variant> = stream::iter(variants)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let taken = variants
        .iter()
        .filter(|variant| **variant == Variant::Candidate);
    let share = taken.count() as f64 / variants.len() as f64;

    traffic.set_traffic_policy(policy(0.0, 1.0)).await?;
    for (user, _) in site.tests.iter().take(SHADOWED) {
        site.recall(exactly(user, 50)).await?;
    }
    // The last ones may still be under way.
    let mut verdict = traffic
        .get_verdict(GetVerdictRequest {})
        .await?
        .into_inner();
    while verdict.recalls + verdict.failed + verdict.skipped < SHADOWED as u64 {
        tokio::task::yield_now().await;
        verdict = traffic
            .get_verdict(GetVerdictRequest {})
            .await?
            .into_inner();
    }
    let replayed = replayed(site, &candidate).await?;
    traffic
        .set_traffic_policy(SetTrafficPolicyRequest::default())
        .await?;
    Ok(vec![
        (
            "split_share_error".to_owned(),
            (share - SHARE).abs(),
            "1",
            "<= 0.02",
        ),
        (
            "shadow_recalls".to_owned(),
            verdict.recalls as f64,
            "recalls",
            "",
        ),
        (
            "shadow_failed".to_owned(),
            verdict.failed as f64,
            "recalls",
            "0",
        ),
        (
            "shadow_skipped".to_owned(),
            verdict.skipped as f64,
            "recalls",
            "",
        ),
        (
            "replay_on_candidate_overlap".to_owned(),
            replayed,
            "1",
            "= 1, the same model",
        ),
        (
            "shadow_overlap".to_owned(),
            verdict.overlap,
            "1",
            "= 1, the same model",
        ),
    ])
}

/// The mean share of candidates that answers made again on the candidate generation have in common with those of then.
async fn replayed(site: &Site, candidate: &str) -> anyhow::Result<f64> {
    let users = site.tests.iter().take(REPLAYED);
    let mut overlap = 0.0;
    for (user, _) in users {
        let mut recall = exactly(user, 50);
        recall.options.get_or_insert_default().with_tokens = true;
        let answer = site.recall(recall.clone()).await?;
        let replay = ReplayRecallRequest {
            recall: Some(recall),
            recall_token: answer.recall_token,
            generation: candidate.to_owned(),
        };
        let again = site.recalls().replay_recall(replay).await?.into_inner();
        overlap += again.overlap;
    }
    Ok(overlap / REPLAYED as f64)
}
