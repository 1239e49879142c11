//! Whether anybody notices that one model takes the place of another.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use encoder::sample::Sample;
use generation::store::Store;
use proto::v1::{ListGenerationsRequest, generation_service_client::GenerationServiceClient};

use crate::{
    Figure, load,
    process::Process,
    quantiles::p99,
    site::{publish, text, user_tower},
    usage,
};

/// One call so often.
const EVERY: Duration = Duration::from_millis(2);
/// How long it is measured without swaps.
const QUIET: Duration = Duration::from_secs(20);

/// Swaps the models of two artifacts `swaps` times under load.
pub(crate) async fn measure(swaps: u64) -> anyhow::Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let store = Store::open(&text(&path("store")))?;
    let mut artifacts = Vec::new();
    for seed in [1, 2] {
        let sample = Sample {
            seed,
            ..Sample::default()
        };
        let dir = path(&format!("artifact-{seed}"));
        let space = sample.write(&dir)?;
        store.put_artifact(&dir, &space).await?;
        artifacts.push((sample, space));
    }
    let next = async |turn: u64| {
        let (sample, space) = &artifacts[(turn % 2) as usize];
        let rows: BTreeMap<u64, Vec<f32>> = sample
            .items
            .iter()
            .map(|id| (*id, sample.row(*id)))
            .collect();
        let ids: Vec<u64> = rows.keys().copied().collect();
        let vectors: Vec<f32> = rows.into_values().flatten().collect();
        publish(&store, space, &ids, sample.dim, &vectors).await
    };
    let first = next(0).await?;
    let settings = [
        ("MODELS__REFRESH", "20ms"),
        ("MODELS__LINGER", "200ms"),
        ("MODELS__VECTOR_CACHE_BYTES", "0"),
    ];
    let server = user_tower(&path("store"), &path("history.redb"), &settings)?;
    holds(&server, &first).await?;
    let channel = server.channel().await?;
    let users = Arc::new((0..64).map(|user| user.to_string()).collect::<Vec<_>>());
    let (quiet, failed_quiet) = load::open(&channel, &users, EVERY, QUIET).await?;

    let (mut busy, mut failed, mut half) = (Vec::new(), failed_quiet, (f64::NAN, f64::NAN));
    let mut turn = 1;
    while turn <= swaps {
        // In stretches, so that what is measured lies beside what is done.
        let calls = load::open(&channel, &users, EVERY, Duration::from_secs(10));
        let begun = Instant::now();
        let swapping = async {
            while turn <= swaps && begun.elapsed() < Duration::from_secs(9) {
                holds(&server, &next(turn).await?).await?;
                turn += 1;
            }
            anyhow::Ok(())
        };
        let (calls, swapped) = tokio::join!(calls, swapping);
        swapped?;
        let (millis, lost) = calls?;
        busy.extend(millis);
        failed += lost;
        if half.0.is_nan() && turn > swaps / 2 {
            half = used(&server)?;
        }
    }
    let (memory, descriptors) = used(&server)?;
    let ratio = p99(busy) / p99(quiet);
    Ok(vec![
        ("swaps", (turn - 1) as f64, "1", ">= 500"),
        ("swaps_failed", failed as f64, "1", "0"),
        ("swap_p99_ratio", ratio, "1", "<= 1.5"),
        (
            "swap_memory_growth",
            memory / half.0,
            "1",
            "<= 1.05, second half",
        ),
        (
            "swap_descriptors_growth",
            descriptors - half.1,
            "1",
            "<= 8, second half",
        ),
    ])
}

/// Bytes of memory and descriptors of a server.
fn used(server: &Process) -> anyhow::Result<(f64, f64)> {
    let pid = server.pid();
    let descriptors = usage::descriptors(&pid)?;
    Ok((usage::memory(&pid)? as f64, descriptors as f64))
}

/// Waits until the generation answers.
async fn holds(server: &Process, generation: &str) -> anyhow::Result<()> {
    let mut client = GenerationServiceClient::new(server.channel().await?);
    let late = Instant::now() + Duration::from_secs(60);
    loop {
        let list = client.list_generations(ListGenerationsRequest {}).await?;
        let held = list.into_inner().generations;
        if held
            .iter()
            .any(|held| held.id == generation && held.serving)
        {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < late, "{generation} is not held");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
