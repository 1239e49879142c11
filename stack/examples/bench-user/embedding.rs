//! What an embedding costs over the raw session, what batching saves, and how late it may come.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use encoder::{artifact::Artifact, features::tensors::Tensor};
use indicatif::ProgressBar;

use crate::{
    Figure, Options,
    floor::Floor,
    load,
    peer::Peer,
    process::Process,
    quantiles::{median, p99},
    site::{Site, user_tower},
    usage, users,
};

/// Users that are embedded in turn.
const USERS: usize = 512;
/// Callers at once where batches form.
const CALLERS: usize = 16;
/// The batch that the session is compared at when the server is saturated.
const BATCH: usize = 16;

/// Compares a server of the site's model with the raw session, and with a Python server of it.
pub(crate) async fn measure(site: &Site, options: &Options) -> anyhow::Result<Vec<Figure>> {
    let users = users::read(&options.data, USERS)?;
    let names = Arc::new(users.iter().map(|user| user.id.clone()).collect::<Vec<_>>());
    let artifact = Artifact::open(&site.artifact)?;
    // As many as the server has when it is saturated: what they share of the machine they share here, too.
    let cores = std::thread::available_parallelism()?.get();
    let raw = (0..cores).map(|_| Floor::open(&site.artifact));
    let mut raw = raw.collect::<Result<Vec<_>, _>>()?;
    let tensors = artifact.user_tensors();
    let batch = |rows: usize| {
        let chunks = users.chunks_exact(rows);
        chunks
            .map(|chunk| tensors.batch(chunk, rows).tensors)
            .collect::<Vec<_>>()
    };
    let (ones, batches) = (batch(1), batch(BATCH));

    let without_cache = [("MODELS__VECTOR_CACHE_BYTES", "0")];
    let history = site.history("embedding");
    let server = user_tower(&site.store, &history, &without_cache)?;
    user_tower::import::import(&options.data, &server.uri, &ProgressBar::hidden()).await?;
    let channel = server.channel().await?;
    ready(&server, &names).await?;

    let calls = options.calls;
    let mut cost: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut note = |name, seconds: f64| {
        cost.entry(name)
            .or_default()
            .push(1e6 * seconds / calls as f64)
    };
    let peer = match &options.python {
        Some(python) => Some(Peer::start(python, site, &names, &ones)?),
        None => None,
    };
    let alone_history = site.history("alone");
    let mut alone = None;
    for pair in 0..options.pairs {
        note("raw b1", run(&mut raw[..1], &ones, calls)?);
        let served = |callers| spent(&server, load::closed(&channel, &names, callers, calls));
        note("served b1", served(1).await?);
        note("raw saturated", run(&mut raw, &batches, calls / BATCH)?);
        note("served c16", served(CALLERS).await?);
        if let Some(peer) = &peer {
            let channel = peer.process.channel().await?;
            let served = load::closed(&channel, &names, CALLERS, calls);
            note("python c16", spent(&peer.process, served).await?);
        }
        if pair == 0 {
            let one = [
                ("MODELS__VECTOR_CACHE_BYTES", "0"),
                ("BATCHER__MAX_BATCH", "1"),
            ];
            let server = user_tower(&site.store, &alone_history, &one)?;
            user_tower::import::import(&options.data, &server.uri, &ProgressBar::hidden()).await?;
            ready(&server, &names).await?;
            alone = Some(server);
        }
        let alone = alone.as_ref().context("it was started")?;
        let channel = alone.channel().await?;
        note(
            "alone c16",
            spent(alone, load::closed(&channel, &names, CALLERS, calls)).await?,
        );
    }
    drop(alone);
    let of = |name: &str| median(cost.get(name).cloned().unwrap_or_default());
    for (name, micros) in &cost {
        println!("  {name:<16} {:>9.1} CPU us a user  {micros:.1?}", of(name));
    }

    // At 60 % of what one core can do by that cost: what asks needs the other.
    let every = Duration::from_secs_f64(of("served c16") / 1e6 / 0.6);
    let (millis, failed) = load::open(&channel, &names, every, Duration::from_secs(10)).await?;
    anyhow::ensure!(failed == 0, "{failed} calls failed at 60 % load");

    let mut figures = vec![
        ("session_cpu_us_b1", of("raw b1"), "us", ""),
        ("session_cpu_us_saturated", of("raw saturated"), "us", ""),
        ("cpu_us_b1", of("served b1"), "us", ""),
        ("cpu_us_c16", of("served c16"), "us", ""),
        (
            "cpu_over_session_b1",
            of("served b1") / of("raw b1"),
            "1",
            "<= 1.25",
        ),
        (
            "cpu_over_session_saturated",
            of("served c16") / of("raw saturated"),
            "1",
            "<= 1.25",
        ),
        (
            "batching_gain",
            of("alone c16") / of("served c16"),
            "1",
            ">= 1.4",
        ),
        ("p99_ms_at_60_percent", p99(millis), "ms", ""),
    ];
    if peer.is_some() {
        let ratio = of("python c16") / of("served c16");
        figures.push(("python_cpu_us_c16", of("python c16"), "us", ""));
        figures.push(("python_over_ours_c16", ratio, "1", ">= 2.5"));
    }
    Ok(figures)
}

/// CPU seconds that raw sessions, all at once, take for `calls` of these batches.
fn run(raw: &mut [Floor], batches: &[Vec<Tensor>], calls: usize) -> anyhow::Result<f64> {
    let before = usage::cpu("self")?;
    let each = calls.div_ceil(raw.len());
    let share = calls as f64 / (each * raw.len()) as f64;
    std::thread::scope(|scope| {
        let running = raw.iter_mut().map(|session| {
            scope.spawn(move || {
                let mut batches = batches.iter().cycle().take(each);
                batches.try_for_each(|batch| session.run(batch))
            })
        });
        for thread in running.collect::<Vec<_>>() {
            let ran = thread.join();
            ran.map_err(|_| anyhow::anyhow!("a session panicked"))??;
        }
        anyhow::Ok(())
    })?;
    Ok((usage::cpu("self")? - before).as_secs_f64() * share)
}

/// CPU seconds that a server takes for the calls.
async fn spent(
    server: &Process,
    calls: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<f64> {
    let before = server.cpu()?;
    calls.await?;
    Ok((server.cpu()? - before).as_secs_f64())
}

/// Waits until the server embeds, and has read each of the users once.
async fn ready(server: &Process, users: &Arc<Vec<String>>) -> anyhow::Result<()> {
    let channel = server.channel().await?;
    let late = Instant::now() + Duration::from_secs(60);
    while let Err(cause) = load::closed(&channel, users, 1, users.len()).await {
        anyhow::ensure!(Instant::now() < late, "it does not embed: {cause}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
