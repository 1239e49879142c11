//! All copies of one of the shards are killed: what is left answers, and says what it lacks.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::time::sleep;

use crate::{
    Figure, Options,
    answers::{Outcome, Seen},
    figure,
    house::House,
    load::{self, Clients, request},
    quantiles::median,
    site::{SHARDS, Site},
};

const ITEMS: u64 = 20_000;
/// Recalls a second.
const RATE: f64 = 200.0;
/// How long all is well before.
const QUIET: Duration = Duration::from_secs(3);

pub(crate) async fn measure(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let site = Site::new(options, ITEMS, 1).await?;
    let mut house = House::start(&site, 1).await?;
    let clients = Clients::new(&house.uris(), 1)?;
    let whole = best(&clients).await?;
    let seen = Arc::new(Seen::default());
    let time = QUIET + Duration::from(options.fault);
    let kill = async {
        sleep(QUIET).await;
        for tower in house.item_towers.iter_mut().step_by(SHARDS) {
            tower.kill()?;
        }
        anyhow::Ok(())
    };
    let (calls, killed) = tokio::join!(load::open(&clients, RATE, time, &seen, request), kill);
    killed?;
    seen.print();

    let coverages = calls?
        .iter()
        .filter(|call| call.due > QUIET)
        .filter_map(|call| match call.outcome {
            Outcome::Whole => Some(1.0),
            Outcome::Partial(share) => Some(share),
            _ => None,
        })
        .collect();
    let coverage = median(coverages);
    let left = best(&clients).await?;
    let kept = whole.iter().zip(&left);
    let kept: usize = kept
        .map(|(whole, left)| whole.intersection(left).count())
        .sum();
    let all: usize = whole.iter().map(HashSet::len).sum();
    Ok(vec![
        figure("dead_shard_failed", seen.failed() as f64, "1", "0"),
        figure(
            "dead_shard_coverage",
            coverage,
            "1",
            "0.75, as its items are a quarter",
        ),
        figure(
            "dead_shard_hits_kept",
            kept as f64 / all as f64,
            "1",
            ">= dead_shard_coverage",
        ),
    ])
}

/// The ten best items of each user.
async fn best(clients: &Clients) -> anyhow::Result<Vec<HashSet<u64>>> {
    let mut best = Vec::new();
    for user in 0..load::USERS {
        let answer = clients.recall(request(user)).await?;
        best.push(answer.candidates.iter().map(|found| found.id).collect());
    }
    Ok(best)
}
