//! One artifact's user model, loaded and proven, with its queue.

use std::{path::Path, sync::Arc};

use encoder::{
    artifact::Artifact,
    features::{Features, tensors::review::Review},
    session::{ItemEncoder, UserEncoder},
};
use generation::manifest::Manifest;
use service::{blocking::Blocking, deadline::Deadline};

use crate::{
    batcher::{Batcher, Embedded, Encode, How},
    config::BatcherConfig,
    error::Error,
    models::{
        direct::Direct,
        rows::ItemRows,
        vectors::{Vectors, Version},
    },
    user::Whole,
};

/// Calls with tensors of their own that may wait for one model: each may have megabytes of them.
const DIRECT_CALLS: usize = 32;

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
    /// The vectors of stored users that it made lately.
    pub(crate) vectors: Vectors,
    /// The rows of the generation, if it reads them.
    pub(crate) rows: Option<Arc<ItemRows>>,
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
    /// Whether its vectors depend on when they are asked for.
    pub(crate) reads_time: bool,
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
        reads_time: signature.reads_time(),
        users: Arc::new(users),
        sessions,
    })
}

impl Model {
    /// Embeds users, whose inputs it takes: by the vectors kept of those for whom nothing was written since, else by an
    /// inference.
    ///
    /// Kept vectors come from batches, and do not tell how much each event counts: who asks for something else gets an
    /// inference.
    ///
    /// # Errors
    /// As [`Batcher::embed`].
    pub(crate) async fn embed(
        &self,
        users: &mut [Whole],
        how: How,
        deadline: Deadline,
    ) -> Result<Vec<Embedded>, Error> {
        let delta = self.rows.as_ref().map_or(0, |rows| rows.delta());
        let keeps = self.vectors.keeps_any() && how == How::default();
        let mut answers = Vec::with_capacity(users.len());
        let (mut asked, mut keys) = (Vec::new(), Vec::new());
        for user in users {
            let arrived = user.as_stored.filter(|_| keeps);
            let of = arrived.map(|arrived| Version { arrived, delta });
            let kept = of.and_then(|of| self.vectors.get(&user.input.id, of));
            if kept.is_none() {
                keys.push(of.map(|of| (user.input.id.clone(), of)));
                asked.push(std::mem::take(&mut user.input));
            }
            answers.push(kept);
        }
        if asked.is_empty() {
            return Ok(answers.into_iter().flatten().collect());
        }
        let made = self.batcher.embed(asked, how, deadline).await?;
        for (key, embedded) in keys.into_iter().zip(&made) {
            if let Some((user, of)) = key {
                self.vectors.put(user, of, embedded.clone());
            }
        }
        let mut made = made.into_iter();
        let answers = answers.into_iter();
        Ok(answers
            .filter_map(|kept| kept.or_else(|| made.next()))
            .collect())
    }
}

impl Loaded {
    /// Compares a profile with what the model reads of it.
    pub(crate) fn review(&self, profile: &Features) -> Review {
        self.users.review(profile)
    }

    /// Starts the model's queues; `rows` are those of the generation, if the model reads them. It keeps vectors in at most
    /// `vector_bytes`.
    pub(crate) fn start(
        self,
        rows: Option<ItemRows>,
        config: &BatcherConfig,
        pool: Blocking,
        vector_bytes: u64,
    ) -> Model {
        let users = Arc::clone(&self.users);
        let rows = rows.map(Arc::new);
        let items = rows.clone();
        let encode: Encode = Arc::new(move |batch| {
            let view = items.as_ref().map(|rows| rows.view());
            users.encode_with(batch, view.as_ref().map(|view| view as _))
        });
        Model {
            direct: Direct::new(Arc::clone(&self.users), pool.clone(), DIRECT_CALLS),
            batcher: Batcher::new(encode, config, pool, self.sessions),
            vectors: Vectors::new(if self.reads_time { 0 } else { vector_bytes }),
            rows,
            artifact: self,
        }
    }
}

#[cfg(test)]
mod tests;
