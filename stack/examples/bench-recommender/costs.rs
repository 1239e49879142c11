//! The CPU time that each feature takes, over that of a plain recall in the same round.

use std::pin::Pin;

use proto::v1::{
    AttributeCap, Blend, Diversity, ExplainRecallRequest, ItemRef, RecallOptions, RecallRequest,
    ReplayRecallRequest, ScoreItemsRequest, SimilarItemsRequest, item_ref::Name,
};

use crate::{Figure, site::Site, usage};

/// Recalls of each kind in one round.
const RECALLS: usize = 2_000;
/// Explanations cost many recalls each.
const EXPLAINED: usize = 100;

/// A kind of call: its name, how many make a round, and the call for a user.
type Kind<'a, 'b> = (&'static str, usize, &'b dyn Fn(&str) -> Call<'a>);
type Call<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

fn plain(user: &str) -> RecallRequest {
    RecallRequest {
        user_id: user.to_owned(),
        page_size: 50,
        ..RecallRequest::default()
    }
}

fn named(id: u64) -> ItemRef {
    ItemRef {
        name: Some(Name::Id(id)),
    }
}

/// The users of a round, again and again.
fn users(site: &Site, round: usize) -> impl Iterator<Item = &(String, u64)> {
    site.tests.iter().skip(31 * round).step_by(5).cycle()
}

pub(crate) async fn measure<'a>(site: &'a Site, rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let with = |diversity: Diversity| {
        move |user: &str| RecallRequest {
            diversity: Some(diversity.clone()),
            ..plain(user)
        }
    };
    let options = |options: RecallOptions| {
        move |user: &str| RecallRequest {
            options: Some(options),
            ..plain(user)
        }
    };
    let none = Diversity::default();
    let quota = with(Diversity {
        interest_quota: 8,
        ..none.clone()
    });
    let mmr = with(Diversity {
        mmr_lambda: Some(0.7),
        ..none.clone()
    });
    let caps = with(Diversity {
        caps: vec![AttributeCap {
            attribute: "genres".to_owned(),
            most: 15,
        }],
        ..none.clone()
    });
    let weights = with(Diversity {
        interest_weights: vec![1.0, 0.5],
        ..none
    });
    let blend = |user: &str| RecallRequest {
        blend: Some(Blend {
            popular: 5,
            fresh: 5,
        }),
        ..plain(user)
    };
    let reproducible = options(RecallOptions {
        reproducible: true,
        ..RecallOptions::default()
    });
    let tokens = options(RecallOptions {
        with_tokens: true,
        ..RecallOptions::default()
    });
    let items = options(RecallOptions {
        with_item: true,
        ..RecallOptions::default()
    });
    let ids: Vec<u64> = site.vectors.keys().copied().take(100).collect();
    let recall = |request: RecallRequest| -> Call<'a> {
        Box::pin(async move { site.recall(request).await.map(drop) })
    };
    let score = |user: &str| -> Call<'a> {
        let request = ScoreItemsRequest {
            user_id: user.to_owned(),
            items: ids.iter().copied().map(named).collect(),
            ..ScoreItemsRequest::default()
        };
        Box::pin(async move { Ok(site.recalls().score_items(request).await.map(drop)?) })
    };
    let similar = |user: &str| -> Call<'a> {
        let request = SimilarItemsRequest {
            items: vec![named(ids[user.len() % ids.len()])],
            page_size: 50,
            ..SimilarItemsRequest::default()
        };
        Box::pin(async move { Ok(site.recalls().similar_items(request).await.map(drop)?) })
    };
    let explain = |user: &str| -> Call<'a> {
        let request = ExplainRecallRequest {
            recall: Some(plain(user)),
            ..ExplainRecallRequest::default()
        };
        Box::pin(async move { Ok(site.recalls().explain_recall(request).await.map(drop)?) })
    };
    let twice = |user: &str| -> Call<'a> {
        let request = tokens(user);
        Box::pin(async move {
            let answer = site.recall(request.clone()).await?;
            let replay = ReplayRecallRequest {
                recall: Some(request),
                recall_token: answer.recall_token,
                generation: String::new(),
            };
            Ok(site.recalls().replay_recall(replay).await.map(drop)?)
        })
    };
    let kinds: [Kind<'a, '_>; 14] = [
        ("plain", RECALLS, &|user| recall(plain(user))),
        ("weights", RECALLS, &|user| recall(weights(user))),
        ("quota", RECALLS, &|user| recall(quota(user))),
        ("mmr", RECALLS, &|user| recall(mmr(user))),
        ("caps", RECALLS, &|user| recall(caps(user))),
        ("blend", RECALLS, &|user| recall(blend(user))),
        ("with_item", RECALLS, &|user| recall(items(user))),
        ("reproducible", RECALLS, &|user| recall(reproducible(user))),
        ("tokens", RECALLS, &|user| recall(tokens(user))),
        ("recall_and_replay", RECALLS, &twice),
        ("score_100", RECALLS, &score),
        ("similar", RECALLS, &similar),
        ("explain_3", EXPLAINED, &explain),
        ("plain_again", RECALLS, &|user| recall(plain(user))),
    ];
    let mut ratios: Vec<Vec<f64>> = vec![Vec::new(); kinds.len()];
    for round in 0..rounds {
        let mut first = 0.0;
        // Users who come again have their vectors kept: for all kinds alike.
        for (user, _) in users(site, round).take(RECALLS) {
            recall(plain(user)).await?;
        }
        for (place, (_, count, call)) in kinds.iter().enumerate() {
            let users = users(site, round).take(*count);
            let begun = usage::cpu("self")?;
            for (user, _) in users {
                call(user).await?;
            }
            let each = (usage::cpu("self")? - begun).as_secs_f64() / *count as f64;
            if place == 0 {
                first = each;
            }
            ratios[place].push(each / first);
        }
    }
    let figures = kinds.iter().zip(ratios).skip(1);
    Ok(figures
        .map(|((kind, ..), mut ratios)| {
            ratios.sort_by(f64::total_cmp);
            let median = ratios[ratios.len() / 2];
            (format!("cpu_over_plain_{kind}"), median, "1", "")
        })
        .collect())
}
