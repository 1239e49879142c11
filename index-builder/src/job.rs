//! The order of a re-index: choose the artifact, embed, build, verify, publish.

use std::{sync::Arc, time::Instant};

use generation::{collect::collect, publish::Staging, store::Store};
use tokio::task;
use tracing::{info, warn};

use crate::{
    artifact, build, config::Config, embed, error::Error, publish, summary::Summary, verify,
};

/// Makes one generation and publishes it, or leaves the store as it is.
///
/// The staging is created first and remembers what serves: of two builders at once, the one that
/// comes to publish second is refused.
pub(crate) async fn run(config: Config) -> Result<Summary, Error> {
    config.validate()?;
    let begun = Instant::now();
    let config = Arc::new(config);
    let store = Store::open(&config.store)?;
    let artifact = artifact::open(&store, &config.artifact).await?;
    let hit_rate = verify::report(&artifact, config.verify.hr_floor)?;
    let staged = store.clone();
    let staging = task::spawn_blocking(move || Staging::create(&staged)).await??;

    let embedded = embed::catalog(&config, &artifact).await?;
    let (unknown_items, left_out, bad_lines) =
        (embedded.unknown, embedded.left_out, embedded.counts.bad);
    let shards = build::shards(&config, &artifact, embedded, staging.dir()).await?;
    let ann_recall = verify::graphs(&config, &artifact, &shards, staging.dir()).await?;
    let manifest = publish::commit(&config, &artifact, shards, staging).await?;

    let summary = Summary {
        items: manifest.items,
        unknown_items,
        left_out,
        bad_lines,
        shards: manifest.shards.len(),
        bytes: manifest.files.values().map(|file| file.bytes).sum(),
        ann_recall,
        hit_rate,
        seconds: begun.elapsed().as_secs_f64(),
        generation: manifest.id,
        space: manifest.space,
    };
    info!(generation = %summary.generation, items = summary.items, seconds = summary.seconds, "generation published");
    tidy(&store, config.keep_generations).await;
    Ok(summary)
}

/// Removes all but `keep` generations; if that fails, what was published serves all the same.
async fn tidy(store: &Store, keep: usize) {
    match collect(store, keep).await {
        Ok(removed) if removed.is_empty() => {}
        Ok(removed) => info!(?removed, "old generations removed"),
        Err(cause) => warn!(%cause, "old generations cannot be removed"),
    }
}
