//! What candidates that differ cost in hits, and what they gain in genres.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use proto::v1::{AttributeCap, Diversity};

use crate::{
    Figure,
    site::{Site, exactly},
};

const K: u32 = 50;
const LAMBDAS: [f64; 8] = [1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3];
/// Places that each of the five interests has at least.
const QUOTA: u32 = 8;
const CAP: u32 = 15;
/// Recalls under way.
const AT_ONCE: usize = 4;

/// Hits, and genres on a page.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    /// The share of users whose held-back item is among the 50.
    pub(crate) hr50: f64,
    /// The share of all genres that a page has, the mean.
    pub(crate) genres: f64,
    /// The share of interests with at least [`QUOTA`] items on a page.
    interests: f64,
}

/// What was measured.
pub(crate) struct Curve {
    plain: Found,
    quota: Found,
    capped: Found,
    /// By lambda.
    pub(crate) mmr: Vec<(f64, Found)>,
}

pub(crate) async fn measure(site: &Site, users: usize) -> anyhow::Result<Curve> {
    let none = Diversity::default();
    let mut mmr = Vec::new();
    for lambda in LAMBDAS {
        let diversity = Diversity {
            mmr_lambda: Some(lambda),
            ..none.clone()
        };
        mmr.push((lambda, found(site, users, Some(diversity)).await?));
    }
    Ok(Curve {
        plain: found(site, users, None).await?,
        quota: found(
            site,
            users,
            Some(Diversity {
                interest_quota: QUOTA,
                ..none.clone()
            }),
        )
        .await?,
        capped: found(
            site,
            users,
            Some(Diversity {
                caps: vec![AttributeCap {
                    attribute: "genres".to_owned(),
                    most: CAP,
                }],
                ..none
            }),
        )
        .await?,
        mmr,
    })
}

async fn found(site: &Site, users: usize, diversity: Option<Diversity>) -> anyhow::Result<Found> {
    let step = site.tests.len().div_ceil(users).max(1);
    let tests: Vec<_> = site.tests.iter().step_by(step).collect();
    let all: BTreeSet<&String> = site.items.values().flat_map(|(genres, _)| genres).collect();
    let answers = tests.iter().map(|(user, item)| {
        let mut request = exactly(user, K);
        request.diversity.clone_from(&diversity);
        async move { Ok::<_, anyhow::Error>((*item, site.recall(request).await?)) }
    });
    let mut answers = stream::iter(answers).buffer_unordered(AT_ONCE);
    let mut sum = Found::default();
    while let Some((item, answer)) = answers.try_next().await? {
        let ids: Vec<u64> = answer.candidates.iter().map(|one| one.id).collect();
        let genres = ids.iter().filter_map(|id| site.items.get(id));
        let genres: BTreeSet<&String> = genres.flat_map(|(genres, _)| genres).collect();
        let mut places = [0_u32; 16];
        for one in &answer.candidates {
            places[one.interest as usize % 16] += 1;
        }
        sum.hr50 += f64::from(u8::from(ids.contains(&item)));
        sum.genres += genres.len() as f64 / all.len() as f64;
        sum.interests += places.iter().filter(|places| **places >= QUOTA).count() as f64 / 5.0;
    }
    let count = tests.len() as f64;
    Ok(Found {
        hr50: sum.hr50 / count,
        genres: sum.genres / count,
        interests: sum.interests / count,
    })
}

impl Curve {
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let mut figures: Vec<Figure> = vec![
            ("plain_hr50_S".to_owned(), self.plain.hr50, "1", ""),
            (
                "plain_genre_coverage".to_owned(),
                self.plain.genres,
                "1",
                "",
            ),
            (
                "plain_interests_with_8".to_owned(),
                self.plain.interests,
                "1",
                "",
            ),
            ("quota_hr50_S".to_owned(), self.quota.hr50, "1", ""),
            (
                "quota_genre_coverage".to_owned(),
                self.quota.genres,
                "1",
                "",
            ),
            (
                "quota_interests_with_8".to_owned(),
                self.quota.interests,
                "1",
                "",
            ),
            ("capped_hr50_S".to_owned(), self.capped.hr50, "1", ""),
            (
                "capped_genre_coverage".to_owned(),
                self.capped.genres,
                "1",
                "",
            ),
            ("mmr_curve".to_owned(), self.mmr.len() as f64, "points", ""),
        ];
        for (lambda, found) in &self.mmr {
            figures.push((format!("mmr_{lambda}_hr50_S"), found.hr50, "1", ""));
            figures.push((
                format!("mmr_{lambda}_genre_coverage"),
                found.genres,
                "1",
                "",
            ));
        }
        figures
    }
}
