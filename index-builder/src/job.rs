//! The order of a re-index: choose the artifact, embed, build, verify, publish.

use std::{sync::Arc, time::Instant};

use generation::{collect::collect, publish::Staging, store::Store};
use tokio::task;
use tracing::{info, warn};

use crate::{
    artifact, build, config::Config, embed, error::Error, kept::Kept, publish, summary::Summary,
    verify,
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

    let kept = match config.reuse {
        true => Kept::open(&store, &config, &artifact).await?.map(Arc::new),
        false => None,
    };
    let embedded = embed::catalog(&config, &artifact, kept.clone()).await?;
    let embedded = Arc::new(embedded);
    let items = embedded.items.len() as u64;
    verify::items(&store, items, config.verify.items_floor).await?;
    let build = async |kept: Option<Arc<Kept>>| {
        let embedded = Arc::clone(&embedded);
        let shards = build::shards(&config, &artifact, embedded, kept, staging.dir()).await?;
        let measured = verify::graphs(&config, &artifact, &shards, staging.dir()).await?;
        Ok((shards, measured))
    };
    let (shards, measured) = match build(kept.clone()).await {
        Ok((_, measured)) if kept.is_some() && !measured.enough => {
            warn!(recall = measured.recall, "graphs are built anew");
            build(None).await?
        }
        Err(cause @ Error::AnnRecall { way: "graph", .. }) if kept.is_some() => {
            warn!(%cause, "graphs are built anew");
            build(None).await?
        }
        built => built?,
    };
    let manifest = publish::commit(&config, &artifact, shards, measured, staging).await?;

    let summary = Summary {
        items: manifest.items,
        kept: embedded.kept,
        unknown_items: embedded.unknown,
        left_out: embedded.left_out,
        bad_lines: embedded.counts.bad,
        shards: manifest.shards.len(),
        bytes: manifest.files.values().map(|file| file.bytes).sum(),
        ann_recall: measured.recall,
        expansion_search: measured.expansion_search,
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
