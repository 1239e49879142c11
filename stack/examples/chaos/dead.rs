//! Every item tower refuses, and a recall costs no more calls than before; then every tower is killed, and callers are told at once.

use std::{sync::Arc, time::Duration};

use tonic::Code;

use crate::{
    Figure, Options,
    answers::{Outcome, Seen},
    fake::{Fake, Refusal, Told},
    figure,
    house::House,
    load::{self, Clients, request},
    server::Server,
    site::Site,
};

const ITEMS: u64 = 2_000;
/// Recalls a second.
const RATE: f64 = 100.0;
/// How long calls are counted while all is well.
const QUIET: Duration = Duration::from_secs(5);

pub(crate) async fn measure(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let site = Site::new(options, ITEMS, 1).await?;
    let mut figures = refusing(options, &site).await?;
    figures.extend(dead(&site).await?);
    Ok(figures)
}

/// How many searches a recall makes at towers that refuse them, over those that it makes at others.
async fn refusing(options: &Options, site: &Site) -> anyhow::Result<Vec<Figure>> {
    let mut house = House::towers(site)?;
    let told = Arc::new(Told::default());
    let mut fakes = Vec::new();
    for tower in &house.item_towers {
        fakes.push(Fake::start(tower.channel()?, &told).await?);
    }
    let addresses: Vec<String> = fakes.iter().map(|fake| fake.uri.clone()).collect();
    house.add_gateway(site, &addresses)?;
    house.is_whole(site.newest()).await?;

    let clients = Clients::new(&house.uris(), 1)?;
    let searches = async |time| {
        let (seen, before) = (Arc::new(Seen::default()), told.searches());
        let calls = load::open(&clients, RATE, time, &seen, request).await?;
        seen.print();
        anyhow::Ok((told.searches() - before) as f64 / calls.len() as f64)
    };
    let mut worst: f64 = 0.0;
    for refusal in [Refusal::Plain, Refusal::Reason, Refusal::Shed] {
        let well = searches(QUIET).await?;
        told.refuse(Some(refusal));
        let refused = searches(options.fault.into()).await?;
        told.refuse(None);
        println!("  {refusal:?}: {well:.3} searches a recall, {refused:.3} when refused");
        worst = worst.max(refused / well);
        house.is_whole(site.newest()).await?;
    }
    Ok(vec![figure("amplification", worst, "1", "<= 1.1")])
}

/// How long it takes until a caller is told that nobody is there.
async fn dead(site: &Site) -> anyhow::Result<Vec<Figure>> {
    let mut house = House::start(site, 1).await?;
    let clients = Clients::new(&house.uris(), 1)?;
    let seen = Arc::new(Seen::default());
    // The connection to the gateway is open before.
    load::open(&clients, RATE, QUIET, &seen, request).await?;
    let towers = house.item_towers.iter_mut();
    towers
        .chain(&mut house.user_towers)
        .try_for_each(Server::kill)?;
    let calls = load::open(&clients, RATE, QUIET, &seen, request).await?;
    seen.print();
    let unavailable = Outcome::Failed(Code::Unavailable);
    let others = load::share(&calls, |call| call.outcome != unavailable);
    Ok(vec![
        figure(
            "all_dead_ms",
            load::p99(&calls),
            "ms",
            "<= 50, of 99 in 100",
        ),
        figure("all_dead_others_share", others, "1", "0: all UNAVAILABLE"),
    ])
}
