//! All copies of one of the shards are killed: what is left answers, and says what it lacks.

use std::{sync::Arc, time::Duration};

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
    Ok(vec![
        figure("dead_shard_failed", seen.failed() as f64, "1", "0"),
        figure(
            "dead_shard_coverage",
            coverage,
            "1",
            "0.75, as its items are a quarter",
        ),
    ])
}
