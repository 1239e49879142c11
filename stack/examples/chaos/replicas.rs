//! One copy of each shard is killed, stalled, flapping or black-holed: the other copies answer, and soon as fast as before.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    Figure, Options,
    answers::{Outcome, Seen},
    figure,
    house::House,
    load::{self, Call, Clients, DEADLINE, request},
    proxy::{Mode, Proxy},
    server::Server,
    site::{SHARDS, Site},
};

const ITEMS: u64 = 8_000;
/// Recalls a second.
const RATE: f64 = 200.0;
/// How long all is well before.
const QUIET: Duration = Duration::from_secs(10);
/// What is not counted of it.
const WARM: Duration = Duration::from_secs(2);
/// How long the members flap in one direction.
const FLAP: Duration = Duration::from_millis(500);
/// In how many recalls it is looked for whether all is as before.
const WINDOW: Duration = Duration::from_secs(2);
/// How often it is looked for.
const STEP: Duration = Duration::from_millis(100);
/// What is as fast as before: the 99th percentile is no more than so many times that before.
const NORMAL: f64 = 1.5;

/// What becomes of a member.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Stalled,
    Flapping,
    Blackholed,
}

pub(crate) async fn measure(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let site = Site::new(options, ITEMS, 1).await?;
    let mut house = House::towers(&site)?;
    let proxies = house.item_towers.iter().map(Server::port);
    let proxies: Vec<Proxy> = proxies.map(Proxy::start).collect::<Result<_, _>>()?;
    let addresses: Vec<String> = proxies.iter().map(|proxy| proxy.uri.clone()).collect();
    house.add_gateway(&site, &addresses)?;
    house.is_whole(site.newest()).await?;

    let mut figures = Vec::new();
    let mut worst: f64 = 0.0;
    for (fault, name) in [
        (Fault::Killed, "killed"),
        (Fault::Stalled, "stalled"),
        (Fault::Flapping, "flapping"),
        (Fault::Blackholed, "blackholed"),
    ] {
        println!("{fault:?}");
        let clients = Clients::new(&house.uris(), 1)?;
        let seen = Arc::new(Seen::default());
        let lasts = Duration::from(options.fault);
        let calls = load::open(&clients, RATE, QUIET + lasts, &seen, request);
        let broken = async {
            sleep(QUIET).await;
            let (towers, proxies) = (&mut house.item_towers[..SHARDS], &proxies[..SHARDS]);
            fault.happen(towers, proxies, lasts).await
        };
        let (calls, broken) = tokio::join!(calls, broken);
        broken?;
        let calls = calls?;
        seen.print();
        house.is_whole(site.newest()).await?;

        let after = || calls.iter().filter(|call| call.due >= QUIET);
        let failed = load::share(after(), |call| !call.outcome.is_answer());
        let partial = load::share(after(), |call| matches!(call.outcome, Outcome::Partial(_)));
        worst = worst.max(failed);
        let row = |what: &str| format!("bad_replica_{name}_{what}");
        figures.extend([
            figure(&row("failed_share"), failed, "1", "<= 0.001"),
            figure(&row("partial_share"), partial, "1", ""),
            figure(&row("recovery_s"), recovery(&calls, lasts), "s", "<= 3"),
        ]);
    }
    figures.push(figure("bad_replica_failed_share", worst, "1", "<= 0.001"));
    Ok(figures)
}

impl Fault {
    /// Breaks members for as long as `lasts`, then mends them.
    async fn happen(
        self,
        towers: &mut [Server],
        proxies: &[Proxy],
        lasts: Duration,
    ) -> anyhow::Result<()> {
        let all = |mode| proxies.iter().for_each(|proxy| proxy.set(mode));
        match self {
            Self::Killed => {
                towers.iter_mut().try_for_each(Server::kill)?;
                sleep(lasts).await;
                towers.iter_mut().try_for_each(Server::again)?;
            }
            Self::Stalled => {
                towers.iter().try_for_each(|tower| tower.signal("STOP"))?;
                sleep(lasts).await;
                towers.iter().try_for_each(|tower| tower.signal("CONT"))?;
            }
            Self::Flapping => {
                let until = Instant::now() + lasts;
                while Instant::now() < until {
                    all(Mode::Refuse);
                    sleep(FLAP).await;
                    all(Mode::Pass);
                    sleep(FLAP).await;
                }
            }
            Self::Blackholed => {
                all(Mode::Swallow);
                sleep(lasts).await;
                all(Mode::Pass);
            }
        }
        Ok(())
    }
}

/// How long it takes until recalls are as fast as before the fault, in seconds; as long as it `lasts`, if they never are.
///
/// A recall that failed counts as one that took all its time.
fn recovery(calls: &[Call], lasts: Duration) -> f64 {
    let between = |from: Duration, to: Duration| {
        let due = calls
            .iter()
            .filter(move |call| (from..to).contains(&call.due));
        let charged = due.map(|call| match call.outcome.is_answer() {
            true => *call,
            false => Call {
                took: call.took.max(DEADLINE),
                ..*call
            },
        });
        load::p99(&charged.collect::<Vec<_>>())
    };
    let normal = between(WARM, QUIET);
    let steps = (lasts - WINDOW).as_millis() / STEP.as_millis();
    let windows = (0..=steps as u32).map(|step| (STEP * step, QUIET + STEP * step));
    let mut windows = windows.map(|(since, from)| (since, between(from, from + WINDOW)));
    let worst = windows.clone().map(|(_, p99)| p99).fold(0.0, f64::max);
    println!("  p99 {normal:.1} ms before, {worst:.1} ms at worst");
    let recovered = windows.find(|(_, p99)| *p99 <= NORMAL * normal);
    recovered.map_or(lasts, |(since, _)| since).as_secs_f64()
}
