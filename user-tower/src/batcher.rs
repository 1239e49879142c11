//! Puts users that wait at the same time into one inference.

use std::{sync::Arc, time::Duration};

use encoder::{embedding::Interests, features::User};
use service::{
    blocking::{Blocking, Permit},
    deadline::Deadline,
};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use crate::{config::BatcherConfig, error::Error};

/// Embeds users, `[users]` in and as many interests out; blocks for one inference.
pub(crate) type Encode =
    Arc<dyn Fn(&[User]) -> Result<Interests, encoder::error::Error> + Send + Sync>;

/// The queue in front of one model; dropping it lets the model go.
pub(crate) struct Batcher {
    queue: mpsc::Sender<Job>,
    limit: usize,
}

/// One user's vectors.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Embedded {
    /// `[interests, dim]`.
    pub(crate) interests: Vec<f32>,
    /// The length of one interest.
    pub(crate) dim: usize,
    /// One weight an interest; empty if the model gives none.
    pub(crate) weights: Vec<f32>,
    /// Whether no event of the history named an item that the model knows.
    pub(crate) cold: bool,
}

/// A user that waits.
struct Job {
    user: User,
    alone: bool,
    deadline: Deadline,
    answer: oneshot::Sender<Result<Embedded, Error>>,
}

/// What makes batches of the queue.
struct Dispatcher {
    queue: mpsc::Receiver<Job>,
    encode: Encode,
    pool: Blocking,
    max_batch: usize,
    max_wait: Duration,
}

impl Batcher {
    /// Starts the queue of one model; inferences run on `pool`.
    pub(crate) fn start(encode: Encode, config: &BatcherConfig, pool: Blocking) -> Self {
        let (sender, queue) = mpsc::channel(config.queue);
        let dispatcher = Dispatcher {
            queue,
            encode,
            pool,
            max_batch: config.max_batch,
            max_wait: config.max_wait,
        };
        tokio::spawn(dispatcher.run());
        Self {
            queue: sender,
            limit: config.queue,
        }
    }

    /// Embeds `users`; all of them are queued, or none.
    ///
    /// `alone` runs each in a batch of its own, so that equal users get equal bits whoever else
    /// asks at the same time.
    ///
    /// # Errors
    /// [`Error::QueueFull`] if they do not fit, [`Error::Deadline`] if their time passed before
    /// their turn came, [`Error::Embedding`] if the model refused one.
    pub(crate) async fn embed(
        &self,
        users: Vec<User>,
        alone: bool,
        deadline: Deadline,
    ) -> Result<Vec<Embedded>, Error> {
        let places = self.queue.try_reserve_many(users.len());
        let places = places.map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(()) => Error::QueueFull {
                what: "users",
                limit: self.limit,
            },
            mpsc::error::TrySendError::Closed(()) => Error::Embedding,
        })?;
        let mut answers = Vec::with_capacity(users.len());
        for (place, user) in places.zip(users) {
            let (answer, answered) = oneshot::channel();
            answers.push(answered);
            place.send(Job {
                user,
                alone,
                deadline,
                answer,
            });
        }
        let mut embedded = Vec::with_capacity(answers.len());
        for answer in answers {
            embedded.push(answer.await.map_err(|_| Error::Embedding)??);
        }
        Ok(embedded)
    }
}

impl Dispatcher {
    async fn run(mut self) {
        while let Some(first) = self.queue.recv().await {
            // While all cores are busy the queue grows, and with it the next batch.
            let Ok(permit) = self.pool.permit().await else {
                return;
            };
            let batch = self.gather(first).await;
            tokio::spawn(infer(permit, Arc::clone(&self.encode), batch));
        }
    }

    /// Takes what waits, and waits `max_wait` for more if there is room.
    async fn gather(&mut self, first: Job) -> Vec<Job> {
        let mut batch = vec![first];
        while batch.len() < self.max_batch
            && let Ok(job) = self.queue.try_recv()
        {
            batch.push(job);
        }
        if self.max_wait.is_zero() {
            return batch;
        }
        let until = tokio::time::Instant::now() + self.max_wait;
        while batch.len() < self.max_batch
            && let Ok(Some(job)) = tokio::time::timeout_at(until, self.queue.recv()).await
        {
            batch.push(job);
        }
        batch
    }
}

async fn infer(permit: Permit, encode: Encode, batch: Vec<Job>) {
    let inference = permit.run(move || {
        let (alone, together): (Vec<Job>, Vec<Job>) = batch
            .into_iter()
            .filter_map(still_wanted)
            .partition(|job| job.alone);
        for job in alone {
            answer(&encode, vec![job]);
        }
        answer(&encode, together);
    });
    if let Err(cause) = inference.await {
        error!(%cause, "an inference did not end");
    }
}

/// Drops users whose time has passed, or whose caller has left.
fn still_wanted(job: Job) -> Option<Job> {
    if job.answer.is_closed() {
        return None;
    }
    if job.deadline.is_past() {
        let _ = job.answer.send(Err(Error::Deadline));
        return None;
    }
    Some(job)
}

/// Embeds a batch; one that fails is tried again user by user, so that one bad user fails alone.
fn answer(encode: &Encode, jobs: Vec<Job>) {
    if jobs.is_empty() {
        return;
    }
    let (users, answers): (Vec<User>, Vec<_>) =
        jobs.into_iter().map(|job| (job.user, job.answer)).unzip();
    match encode(&users) {
        Ok(interests) => {
            for (i, answer) in answers.into_iter().enumerate() {
                // A caller that left meanwhile needs no answer.
                let _ = answer.send(Ok(Embedded::of(&interests, i)));
            }
        }
        Err(_) if users.len() > 1 => {
            for (user, answer) in users.iter().zip(answers) {
                let _ = answer.send(embed_one(encode, user));
            }
        }
        Err(cause) => {
            error!(%cause, "the model refused a user");
            for answer in answers {
                let _ = answer.send(Err(Error::Embedding));
            }
        }
    }
}

fn embed_one(encode: &Encode, user: &User) -> Result<Embedded, Error> {
    match encode(std::slice::from_ref(user)) {
        Ok(interests) => Ok(Embedded::of(&interests, 0)),
        Err(cause) => {
            error!(%cause, "the model refused a user");
            Err(Error::Embedding)
        }
    }
}

impl Embedded {
    fn of(interests: &Interests, user: usize) -> Self {
        Self {
            interests: interests.user(user).to_vec(),
            dim: interests.dim,
            weights: interests.weights_of(user).to_vec(),
            cold: interests.cold[user],
        }
    }
}

#[cfg(test)]
mod tests;
