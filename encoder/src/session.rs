//! Runs the two towers: batches of raw features in, vectors out.
//!
//! Batches run at fixed sizes ([`BUCKETS`]), padded, because ONNX Runtime's last bit depends on the batch size: equal
//! batches give equal bits, and across sizes rows agree to about 1e-6.

mod attention;
mod contract;
mod given;
mod model;
mod pool;
mod runtime;

use crate::{
    artifact::{Artifact, ITEM_TOWER, USER_TOWER},
    embedding::{Embeddings, Interests},
    error::Error,
    features::{
        Features, Item, User,
        tensors::{ItemTensors, UserTensors, review::Review},
    },
    gather::ItemVectors,
    session::{contract::Contract, given::Inputs, pool::Pool},
    signature::HistorySpec,
};

pub use crate::session::{
    given::{NamedTensor, Output, TensorSpec},
    runtime::{HINT, environment, init, library},
};

/// The batch sizes that run, ascending; longer batches run in chunks of the last.
pub const BUCKETS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];

/// The user tower of an artifact, ready to run.
#[derive(Debug)]
pub struct UserEncoder {
    tensors: UserTensors,
    inputs: Inputs,
    pool: Pool,
    reads_item_vectors: bool,
    history: HistorySpec,
    interests: usize,
    dim: usize,
}

/// The item tower of an artifact, ready to run.
#[derive(Debug)]
pub struct ItemEncoder {
    tensors: ItemTensors,
    pool: Pool,
    dim: usize,
}

impl UserEncoder {
    /// Loads the user tower into `sessions` sessions (at least one); as many batches run at once.
    ///
    /// # Errors
    /// [`Error::Library`] if ONNX Runtime is not to be had, [`Error::Model`] if the model is not what the signature says.
    pub fn open(artifact: &Artifact, sessions: usize) -> Result<Self, Error> {
        let signature = artifact.signature();
        Ok(Self {
            tensors: artifact.user_tensors(),
            inputs: Inputs::user(artifact),
            pool: Pool::open(artifact, USER_TOWER, Contract::user(signature), sessions)?,
            reads_item_vectors: signature.reads_item_vectors(),
            history: signature.history,
            interests: signature.interests,
            dim: signature.dim,
        })
    }

    /// Compares a profile with what the model reads of it.
    pub fn review(&self, profile: &Features) -> Review {
        self.tensors.review(profile)
    }

    /// Embeds users, at most [`BUCKETS`]' last at a time.
    ///
    /// An unknown user, unseen values and an empty history are no errors: they take the unknown ids. Blocks for the
    /// inference and while all sessions are busy, so call it off the async executor.
    ///
    /// # Shapes
    /// Returns `[users, interests, dim]`, user `i` for `users[i]`; and how much each event counts, if the model tells.
    ///
    /// # Errors
    /// [`Error::Run`] if ONNX Runtime fails, [`Error::NonFinite`] if a number of any user is not finite; then no user is
    /// embedded. [`Error::ItemVectors`] if the model reads item vectors.
    pub fn encode(&self, users: &[User]) -> Result<Interests, Error> {
        self.encode_with(users, None)
    }

    /// Embeds users as [`encode`](UserEncoder::encode), with the vectors of items at hand; a model that does not read them
    /// leaves them alone.
    ///
    /// # Errors
    /// As [`encode`](UserEncoder::encode); [`Error::ItemVectors`] if the model reads item vectors, and there are none or
    /// they are of another length.
    pub fn encode_with(
        &self,
        users: &[User],
        vectors: Option<&dyn ItemVectors>,
    ) -> Result<Interests, Error> {
        let found = vectors.map(ItemVectors::dim);
        if self.reads_item_vectors && found != Some(self.dim) {
            return Err(Error::ItemVectors {
                found,
                expected: self.dim,
            });
        }
        let mut interests = Interests {
            interests: self.interests,
            dim: self.dim,
            ..Interests::default()
        };
        for chunk in users.chunks(LARGEST) {
            let rows = bucket(chunk.len());
            let batch = self.tensors.batch_with(chunk, rows, vectors);
            let outputs = self.pool.run(&batch.tensors, chunk.len())?;
            interests.values.extend(outputs.vectors);
            interests.weights.extend(outputs.weights);
            interests.cold.extend(batch.cold);
            let attention = attention::by_event(
                &outputs.attention,
                self.interests,
                self.history,
                batch.items,
            );
            let attention = attention.map_err(|found| self.pool.attention_error(&found))?;
            interests.attention.extend(attention);
        }
        Ok(interests)
    }
}

impl ItemEncoder {
    /// Loads the item tower into `sessions` sessions (at least one); as many batches run at once.
    ///
    /// # Errors
    /// [`Error::Library`] if ONNX Runtime is not to be had, [`Error::Model`] if the model is not what the signature says.
    pub fn open(artifact: &Artifact, sessions: usize) -> Result<Self, Error> {
        let signature = artifact.signature();
        Ok(Self {
            tensors: artifact.item_tensors(),
            pool: Pool::open(artifact, ITEM_TOWER, Contract::item(signature), sessions)?,
            dim: signature.dim,
        })
    }

    /// Embeds items, at most [`BUCKETS`]' last at a time.
    ///
    /// An unseen item is no error: it takes the unknown id. Blocks like [`UserEncoder::encode`].
    ///
    /// # Shapes
    /// Returns `[items, dim]`, row `i` for `items[i]`.
    ///
    /// # Errors
    /// [`Error::Run`] if ONNX Runtime fails, [`Error::NonFinite`] if a number of any item is not finite; then no item is
    /// embedded.
    pub fn encode(&self, items: &[Item]) -> Result<Embeddings, Error> {
        let mut embeddings = Embeddings {
            dim: self.dim,
            values: Vec::with_capacity(items.len() * self.dim),
        };
        for chunk in items.chunks(LARGEST) {
            let tensors = self.tensors.batch(chunk, bucket(chunk.len()));
            embeddings
                .values
                .extend(self.pool.run(&tensors, chunk.len())?.vectors);
        }
        Ok(embeddings)
    }
}

/// The last of [`BUCKETS`].
pub(crate) const LARGEST: usize = BUCKETS[BUCKETS.len() - 1];

/// Returns the smallest bucket that holds `rows` rows.
fn bucket(rows: usize) -> usize {
    BUCKETS
        .into_iter()
        .find(|bucket| *bucket >= rows)
        .unwrap_or(LARGEST)
}

#[cfg(test)]
mod tests;
