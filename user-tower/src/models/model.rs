//! One artifact's user model, loaded and proven, with its queue.

use std::{path::Path, sync::Arc};

use encoder::{
    artifact::Artifact,
    session::{ItemEncoder, UserEncoder},
};
use generation::manifest::Manifest;
use service::blocking::Blocking;

use crate::{
    batcher::{Batcher, Encode},
    config::BatcherConfig,
    error::Error,
};

/// A generation, and the model that embeds its users.
pub(crate) struct Held {
    /// The generation's manifest.
    pub(crate) manifest: Manifest,
    /// The model, shared by the generations of one embedding space.
    pub(crate) model: Arc<Model>,
}

/// A user model and its queue.
pub(crate) struct Model {
    /// The embedding space of its vectors.
    pub(crate) space: String,
    /// The artifact's signature, as JSON.
    pub(crate) signature: String,
    /// The length of a vector.
    pub(crate) dim: usize,
    /// Where users wait for it.
    pub(crate) batcher: Batcher,
}

/// What is known of a model before it has a queue.
pub(crate) struct Parts {
    space: String,
    signature: String,
    dim: usize,
}

/// Opens the artifact `dir`: hashes its files, makes `sessions` sessions, and runs its golden
/// vectors at every batch size, which also warms them. Blocks for seconds.
pub(crate) fn load(dir: &Path, sessions: usize) -> Result<(Parts, Encode), Error> {
    let artifact = Artifact::open(dir)?;
    let users = UserEncoder::open(&artifact, sessions)?;
    artifact.check_golden(&users, &ItemEncoder::open(&artifact, 1)?)?;
    let signature = artifact.signature();
    let parts = Parts {
        space: artifact.space().to_owned(),
        signature: serde_json::to_string(signature).map_err(|cause| {
            encoder::error::Error::Signature {
                problems: vec![cause.to_string()],
            }
        })?,
        dim: signature.dim,
    };
    Ok((parts, Arc::new(move |batch| users.encode(batch))))
}

impl Parts {
    /// Starts the model's queue.
    pub(crate) fn start(self, encode: Encode, config: &BatcherConfig, pool: Blocking) -> Model {
        Model {
            space: self.space,
            signature: self.signature,
            dim: self.dim,
            batcher: Batcher::start(encode, config, pool),
        }
    }
}
