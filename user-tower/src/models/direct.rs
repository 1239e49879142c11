//! Runs a user model on tensors that a caller made, past its batcher.

use std::sync::Arc;

use encoder::session::{NamedTensor, Output, TensorSpec, UserEncoder};
use service::{blocking::Blocking, deadline::Deadline};
use tokio::sync::{Mutex, Semaphore, TryAcquireError};
use tracing::error;

use crate::error::Error;

/// A model that runs on tensors, and how many calls may wait for it.
pub(crate) struct Direct {
    users: Arc<UserEncoder>,
    pool: Blocking,
    /// Whose turn it is of those that have a place.
    turns: Mutex<()>,
    places: Semaphore,
    limit: usize,
}

impl Direct {
    /// Runs `users` one call at a time, so that the batches keep their share of the permits of `pool`; at most `limit` calls wait or
    /// run.
    pub(super) fn new(users: Arc<UserEncoder>, pool: Blocking, limit: usize) -> Self {
        Self {
            users,
            pool,
            turns: Mutex::default(),
            places: Semaphore::new(limit),
            limit,
        }
    }

    /// Returns what the model takes.
    pub(crate) fn takes(&self) -> impl Iterator<Item = &TensorSpec> {
        self.users.takes()
    }

    /// Returns what the model gives.
    pub(crate) fn gives(&self) -> &[TensorSpec] {
        self.users.gives()
    }

    /// Runs the model on the tensors of 1 to 64 users, as [`UserEncoder::run_tensors`].
    ///
    /// # Errors
    /// [`Error::Tensors`] if they do not fit, [`Error::QueueFull`] if too many calls wait,
    /// [`Error::Deadline`] if the call's time passed before its turn came.
    pub(crate) async fn run(
        &self,
        tensors: Vec<NamedTensor>,
        deadline: Deadline,
    ) -> Result<Vec<Output>, Error> {
        let _place = self.places.try_acquire().map_err(|refused| match refused {
            TryAcquireError::NoPermits => Error::QueueFull {
                what: "inferences",
                limit: self.limit,
            },
            TryAcquireError::Closed => Error::Embedding,
        })?;
        let turn = async {
            let turn = self.turns.lock().await;
            (turn, self.pool.permit().await)
        };
        let (_turn, permit) = tokio::time::timeout_at(deadline.at().into(), turn)
            .await
            .map_err(|_| Error::Deadline)?;
        let permit = permit?;
        let users = Arc::clone(&self.users);
        let outputs = permit.run(move || match deadline.is_past() {
            true => Err(Error::Deadline),
            false => users.run_tensors(tensors).map_err(refusal),
        });
        outputs.await?
    }
}

/// Tells what the caller's tensors are to blame for from what fails here.
fn refusal(cause: encoder::error::Error) -> Error {
    match cause {
        encoder::error::Error::Tensors { misfits } => Error::Tensors(misfits),
        encoder::error::Error::NonFinite { .. } => Error::NonFinite(cause.to_string()),
        cause => {
            error!(%cause, "the model refused tensors");
            Error::Embedding
        }
    }
}

#[cfg(test)]
mod tests;
