//! More is asked than can be answered: what is admitted is answered about as fast as before, the rest is refused at once.
//!
//! All servers share one core, and who asks has another. There is one copy of each shard, so that no more processes wait for the core
//! than a recall needs.

use std::{
    fs,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use proto::v1::RecallRequest;
use tokio::time::sleep;

use crate::{
    Figure, Options,
    answers::{Outcome, Seen},
    figure,
    house::House,
    load::{self, Call, Clients, Closed},
    site::Site,
};

const ITEMS: u64 = 40_000;
/// The cores of the servers and of who asks.
const CORES: (usize, usize) = (0, 1);
/// Connections, each of which may have 200 calls under way.
const CONNECTIONS: usize = 32;
/// Callers that keep the servers busy.
const CALLERS: u64 = 8;
/// How long each rate is asked at.
const TIME: Duration = Duration::from_secs(8);
/// How long the servers have to get over the last.
const PAUSE: Duration = Duration::from_secs(2);
/// The rates among which the knee is sought, over what callers in a closed loop reach.
const RATES: [f64; 7] = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1];
/// The share of recalls that must be answered whole, up to the knee.
const WELL: f64 = 0.99;

/// A recall that takes at least a millisecond of the servers' core.
fn request(user: u64) -> RecallRequest {
    RecallRequest {
        page_size: 1_000,
        ..load::request(user)
    }
}

/// What came of asking at one rate.
struct Asked {
    /// Whole answers a second.
    good: f64,
    /// The share of the recalls that was answered whole.
    good_share: f64,
    /// Recalls a second that were not answered whole.
    rest: f64,
    /// Of recalls that were not refused.
    p99: f64,
    /// Of refusals.
    refused_p99: f64,
    /// Of the servers, in seconds of CPU time a second.
    cpu: f64,
}

pub(crate) async fn measure(options: &Options) -> anyhow::Result<Vec<Figure>> {
    let mut site = Site::new(options, ITEMS, 1).await?;
    site.launch.core = Some(CORES.0);
    site.copies = 1;
    let house = House::start(&site, 1).await?;
    let clients = Clients::new(&house.uris(), CONNECTIONS)?;
    let all = pin(&CORES.1.to_string())?;
    let figures = overload(&house, &clients).await;
    pin(&all)?;
    figures
}

async fn overload(house: &House, clients: &Clients) -> anyhow::Result<Vec<Figure>> {
    let (saturated, recall_cpu) = saturate(house, clients).await?;
    println!(
        "  saturated at {saturated:.0}/s, {:.2} ms a recall",
        recall_cpu * 1e3
    );
    let mut knee = None;
    for rate in RATES {
        let asked = ask(house, clients, rate * saturated).await?;
        if asked.good_share >= WELL {
            knee = Some(asked);
        }
    }
    let Some(knee) = knee else {
        anyhow::bail!("no rate is answered well");
    };
    let twice = ask(house, clients, 2.0 * knee.good).await?;
    let fourfold = ask(house, clients, 4.0 * knee.good).await?;
    let tenfold = ask(house, clients, 10.0 * knee.good).await?;
    // What a recall and a refusal cost, by the two rates at which there are many of both; so the third can be told beforehand.
    let per_good = |asked: &Asked| (asked.cpu / asked.good, asked.rest / asked.good);
    let (few, many) = (per_good(&twice), per_good(&fourfold));
    let refusal = (many.0 - few.0) / (many.1 - few.1);
    let recall = few.0 - few.1 * refusal;
    let left = (tenfold.cpu - tenfold.rest * refusal).max(0.0) / recall;
    Ok(vec![
        figure("recall_cpu_ms", recall_cpu * 1e3, "ms", ">= 1"),
        figure("knee_per_s", knee.good, "1/s", ""),
        figure("knee_p99_ms", knee.p99, "ms", ""),
        figure("goodput_2x", twice.good / knee.good, "1", ">= 0.9"),
        figure(
            "admitted_p99_2x_over_knee",
            twice.p99 / knee.p99,
            "1",
            "<= 2",
        ),
        figure("shed_ms_p99", twice.refused_p99, "ms", "<= 10"),
        figure("refusal_cpu_us", refusal * 1e6, "us", ""),
        figure(
            "goodput_10x",
            tenfold.good / knee.good,
            "1",
            "beside goodput_10x_left",
        ),
        figure("goodput_10x_left", left / knee.good, "1", ""),
    ])
}

/// Whole answers a second to callers in a closed loop, and the servers' CPU time for each, in seconds.
async fn saturate(house: &House, clients: &Clients) -> anyhow::Result<(f64, f64)> {
    let warm = Arc::new(Seen::default());
    let callers = Closed::start(clients, CALLERS, &warm, request);
    sleep(TIME).await;
    callers.stop().await?;

    let (seen, before) = (Arc::new(Seen::default()), house.cpu()?);
    let callers = Closed::start(clients, CALLERS, &seen, request);
    sleep(TIME).await;
    callers.stop().await?;
    let cpu = (house.cpu()? - before).as_secs_f64();
    seen.print();
    let good = (seen.calls() - seen.failed() - seen.partial()) as f64;
    Ok((good / TIME.as_secs_f64(), cpu / good))
}

async fn ask(house: &House, clients: &Clients, rate: f64) -> anyhow::Result<Asked> {
    sleep(PAUSE).await;
    let (seen, before) = (Arc::new(Seen::default()), house.cpu()?);
    let calls = load::open(clients, rate, TIME, &seen, request).await?;
    let seconds = TIME.as_secs_f64();
    let cpu = (house.cpu()? - before).as_secs_f64() / seconds;
    let is = |outcome: Outcome| move |call: &&Call| call.outcome == outcome;
    let good = calls.iter().filter(is(Outcome::Whole)).count() as f64 / seconds;
    let asked = Asked {
        good,
        good_share: good * seconds / calls.len() as f64,
        rest: calls.len() as f64 / seconds - good,
        p99: load::p99(calls.iter().filter(|call| call.outcome != Outcome::Shed)),
        refused_p99: load::p99(calls.iter().filter(is(Outcome::Shed))),
        cpu,
    };
    println!(
        "  {:.0}/s of {rate:.0}/s: {good:.0}/s whole, p99 {:.1} ms, refused within {:.1} ms, {cpu:.2} cores",
        calls.len() as f64 / seconds,
        asked.p99,
        asked.refused_p99,
    );
    seen.print();
    Ok(asked)
}

/// Lets this process run on these cores only, and returns those that it could run on.
fn pin(cores: &str) -> anyhow::Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let pinned = Command::new("taskset")
        .args(["-a", "-c", "-p", cores, &std::process::id().to_string()])
        .stdout(Stdio::null())
        .status()?;
    anyhow::ensure!(pinned.success(), "there is no core {cores} to run on");
    Ok(allowed.context("no allowed cores")?.trim().to_owned())
}
