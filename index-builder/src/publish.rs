//! Lets what was built and verified serve.

use encoder::{artifact::Artifact, signature};
use generation::{
    manifest::{Engine, Manifest, Metric, ShardEntry},
    publish::{Draft, Staging},
};

use crate::{config::Config, error::Error, verify::Measured};

/// Commits the staged files as a generation that CURRENT names from then on.
///
/// # Errors
/// [`Error::Store`] if another generation was published meanwhile, or the store failed.
pub(crate) async fn commit(
    config: &Config,
    artifact: &Artifact,
    shards: Vec<ShardEntry>,
    measured: Measured,
    staging: Staging,
) -> Result<Manifest, Error> {
    let signature = artifact.signature();
    let draft = Draft {
        space: artifact.space().to_owned(),
        dim: signature.dim,
        metric: match signature.metric {
            signature::Metric::Dot => Metric::Dot,
            signature::Metric::Cosine => Metric::Cosine,
        },
        shards,
        engine: Engine {
            name: "usearch".to_owned(),
            version: index::hnsw::version().to_owned(),
            connectivity: config.hnsw.connectivity,
            expansion_add: config.hnsw.expansion_add,
            expansion_search: measured.expansion_search,
        },
        updates_from: 0,
        report: artifact.report().cloned(),
    };
    Ok(staging.commit(draft).await?)
}
