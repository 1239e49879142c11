//! One of four shards is gone: what is left of the hits.

use std::path::Path;

use stack::prepare::Prepared;

use crate::{
    Figure,
    site::{Site, exactly},
};

const SHARDS: u32 = 4;
const K: u32 = 10;

/// Loses each of the shards in turn.
pub(crate) async fn measure(work: &Path, mut prepared: Prepared) -> anyhow::Result<Vec<Figure>> {
    let (mut whole, mut left, mut covered) = (0.0, 0.0, 0.0);
    for shard in 0..SHARDS {
        let mut site = Site::start(work, prepared, SHARDS).await?;
        if shard == 0 {
            whole = hits(&site).await?.0;
        }
        site.lose(shard as usize).await?;
        let (hits, coverage) = hits(&site).await?;
        left += hits / f64::from(SHARDS);
        covered += coverage / f64::from(SHARDS);
        prepared = site.stop().await?;
    }
    Ok(vec![
        ("whole_hr10_S".to_owned(), whole, "1", ""),
        ("dead_shard_hr10_S".to_owned(), left, "1", ""),
        (
            "dead_shard_covered".to_owned(),
            covered,
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

/// HR@10 of all users, and the mean coverage of their recalls; each of them must be answered.
async fn hits(site: &Site) -> anyhow::Result<(f64, f64)> {
    let (mut hits, mut coverage) = (0.0, 0.0);
    for (user, item) in &site.tests {
        let answer = site.recall(exactly(user, K)).await?;
        let hit = answer.candidates.iter().any(|one| one.id == *item);
        hits += f64::from(u8::from(hit));
        coverage += answer.coverage.map_or(0.0, |coverage| coverage.fraction);
    }
    let count = site.tests.len() as f64;
    Ok((hits / count, coverage / count))
}
