//! One of four shards is gone: what is left of the hits.

use std::path::Path;

use stack::prepare::Prepared;

use crate::{
    Figure,
    site::{Site, exactly},
};

const SHARDS: u32 = 4;
const K: u32 = 10;

pub(crate) async fn measure(
    work: &Path,
    prepared: Prepared,
    users: usize,
) -> anyhow::Result<Vec<Figure>> {
    let mut site = Site::start(work, prepared, SHARDS).await?;
    let (whole, _) = hits(&site, users).await?;
    site.lose(0).await?;
    let (left, coverage) = hits(&site, users).await?;
    site.stop().await?;
    Ok(vec![
        ("whole_hr10_S".to_owned(), whole, "1", ""),
        ("dead_shard_hr10_S".to_owned(), left, "1", ""),
        (
            "dead_shard_covered".to_owned(),
            coverage,
            "1",
            "0.75, as its items are a quarter",
        ),
        (
            "dead_shard_hr10_kept".to_owned(),
            left / whole,
            "1",
            ">= dead_shard_covered",
        ),
    ])
}

/// HR@10 of some users, and the mean coverage of their recalls; each of them must be answered.
async fn hits(site: &Site, users: usize) -> anyhow::Result<(f64, f64)> {
    let step = site.tests.len().div_ceil(users).max(1);
    let (mut hits, mut coverage, mut count) = (0.0, 0.0, 0.0);
    for (user, item) in site.tests.iter().step_by(step) {
        let answer = site.recall(exactly(user, K)).await?;
        hits += f64::from(u8::from(
            answer.candidates.iter().any(|one| one.id == *item),
        ));
        coverage += answer.coverage.map_or(0.0, |coverage| coverage.fraction);
        count += 1.0;
    }
    Ok((hits / count, coverage / count))
}
