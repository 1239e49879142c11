//! One artifact's user model, loaded and proven, with its queue.

use std::{path::Path, sync::Arc};

use encoder::{
    artifact::Artifact,
    features::{Features, tensors::review::Review},
    session::{ItemEncoder, UserEncoder},
};
use generation::manifest::Manifest;
use service::blocking::Blocking;

use crate::{
    batcher::{Batcher, Encode},
    config::BatcherConfig,
    error::Error,
    models::{direct::Direct, rows::ItemRows},
};

/// A generation, and the model that embeds its users.
pub(crate) struct Held {
    /// The generation's manifest.
    pub(crate) manifest: Manifest,
    /// The model, shared by the generations of one embedding space if it does not read their rows.
    pub(crate) model: Arc<Model>,
}

/// A user model and its queues.
pub(crate) struct Model {
    /// What was loaded.
    pub(crate) artifact: Loaded,
    /// Where users wait for it.
    pub(crate) batcher: Batcher,
    /// Runs it on tensors that a caller made.
    pub(crate) direct: Direct,
}

/// A user model without a queue.
#[derive(Clone)]
pub(crate) struct Loaded {
    /// The embedding space of its vectors.
    pub(crate) space: String,
    /// The artifact's signature, as JSON.
    pub(crate) signature: String,
    /// The length of a vector.
    pub(crate) dim: usize,
    /// Whether it takes the history's items as rows of the generation.
    pub(crate) reads_rows: bool,
    users: Arc<UserEncoder>,
    sessions: usize,
}

/// Opens the artifact `dir`: hashes its files, makes `sessions` sessions, and runs its golden
/// vectors at every batch size, which also warms them. Blocks for seconds.
pub(crate) fn load(dir: &Path, sessions: usize) -> Result<Loaded, Error> {
    let artifact = Artifact::open(dir)?;
    let users = UserEncoder::open(&artifact, sessions)?;
    artifact.check_golden(&users, &ItemEncoder::open(&artifact, 1)?)?;
    let signature = artifact.signature();
    Ok(Loaded {
        space: artifact.space().to_owned(),
        signature: serde_json::to_string(signature).map_err(|cause| {
            encoder::error::Error::Signature {
                problems: vec![cause.to_string()],
            }
        })?,
        dim: signature.dim,
        reads_rows: signature.reads_item_vectors(),
        users: Arc::new(users),
        sessions,
    })
}

impl Loaded {
    /// Compares a profile with what the model reads of it.
    pub(crate) fn review(&self, profile: &Features) -> Review {
        self.users.review(profile)
    }

    /// Starts the model's queues; `rows` are those of the generation, if the model reads them.
    pub(crate) fn start(
        self,
        rows: Option<ItemRows>,
        config: &BatcherConfig,
        pool: Blocking,
    ) -> Model {
        let users = Arc::clone(&self.users);
        let encode: Encode =
            Arc::new(move |batch| users.encode_with(batch, rows.as_ref().map(|rows| rows as _)));
        Model {
            direct: Direct::new(Arc::clone(&self.users), pool.clone(), config.queue),
            batcher: Batcher::start(encode, config, pool, self.sessions),
            artifact: self,
        }
    }
}
