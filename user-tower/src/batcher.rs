//! Puts users that wait at the same time into one inference, and refuses those that could not be ready in time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use encoder::{
    embedding::{Attention, Interests},
    features::User,
};
use service::{
    blocking::{Blocking, Permit},
    deadline::Deadline,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout_at,
};
use tracing::error;

use crate::{
    batcher::estimate::{Estimate, Load, Running},
    config::BatcherConfig,
    error::Error,
};

mod estimate;

/// Embeds users, `[users]` in and as many interests out; blocks for one inference.
pub(crate) type Encode =
    Arc<dyn Fn(&[User]) -> Result<Interests, encoder::error::Error> + Send + Sync>;

/// The queue in front of one model; dropping it lets the model go.
pub(crate) struct Batcher {
    queue: mpsc::Sender<Job>,
    limit: usize,
    estimate: Arc<Estimate>,
}

/// How users are to be embedded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct How {
    /// Each in a batch of its own, so that equal users get equal bits whoever else asks at the same
    /// time.
    pub(crate) alone: bool,
    /// With how much each event counts, if the model tells.
    pub(crate) attention: bool,
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
    /// How much each event counts, if that was asked for and the model tells.
    pub(crate) attention: Option<Attention>,
}

/// A user that waits.
struct Job {
    user: User,
    how: How,
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
    estimate: Arc<Estimate>,
}

impl Batcher {
    /// Starts the queue of one model; inferences run on `pool`, at most `sessions` at once.
    pub(crate) fn start(
        encode: Encode,
        config: &BatcherConfig,
        pool: Blocking,
        sessions: usize,
    ) -> Self {
        let (sender, queue) = mpsc::channel(config.queue);
        let estimate = Arc::new(Estimate::new(sessions, config.max_batch));
        let times = Arc::clone(&estimate);
        let encode: Encode = Arc::new(move |users| times.measure(users.len(), || encode(users)));
        let dispatcher = Dispatcher {
            queue,
            encode,
            pool,
            max_batch: config.max_batch,
            max_wait: config.max_wait,
            estimate: Arc::clone(&estimate),
        };
        tokio::spawn(dispatcher.run());
        Self {
            queue: sender,
            limit: config.queue,
            estimate,
        }
    }

    /// Embeds `users`; all of them are queued, or none.
    ///
    /// # Errors
    /// [`Error::QueueFull`] if they do not fit, [`Error::Overloaded`] if they would hardly be ready in
    /// time, [`Error::Deadline`] if their time passed before their turn came, [`Error::Embedding`] if
    /// the model refused one.
    pub(crate) async fn embed(
        &self,
        users: Vec<User>,
        how: How,
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
        self.admit(Load::of(users.len(), how.alone), deadline)?;
        let mut answers = Vec::with_capacity(users.len());
        for (place, user) in places.zip(users) {
            let (answer, answered) = oneshot::channel();
            answers.push(answered);
            place.send(Job {
                user,
                how,
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

    /// Counts users as waiting, unless the prediction says that their time would be past before they are embedded.
    fn admit(&self, users: Load, deadline: Deadline) -> Result<(), Error> {
        let left = deadline.remaining();
        if let Some(wait) = self.estimate.wait(users)
            && wait > left
            && !left.is_zero()
        {
            return Err(Error::Overloaded { wait, left });
        }
        self.estimate.queued(users);
        Ok(())
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
            let mut users = Load::default();
            for job in &batch {
                users += Load::of(1, job.how.alone);
            }
            let running = self.estimate.run(users);
            tokio::spawn(infer(permit, running, Arc::clone(&self.encode), batch));
        }
    }

    /// Takes what waits, and waits `max_wait` for more if there is room, but not so long that one of
    /// the batch would be late.
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
        let opened = Instant::now();
        while batch.len() < self.max_batch
            && let until = self.closes(opened, &batch)
            && let Ok(Some(job)) = timeout_at(until.into(), self.queue.recv()).await
        {
            batch.push(job);
        }
        batch
    }

    /// When a batch that was opened then waits for no more users: after `max_wait`, or while the one of
    /// the least time has just enough left for the inference.
    fn closes(&self, opened: Instant, batch: &[Job]) -> Instant {
        let inference = self.estimate.inference(batch.len());
        let slack = batch.iter().map(|job| job.deadline.at());
        let slack = slack.min().and_then(|at| at.checked_sub(inference));
        slack.unwrap_or(opened).min(opened + self.max_wait)
    }
}

async fn infer(permit: Permit, running: Running, encode: Encode, batch: Vec<Job>) {
    let inference = permit.run(move || {
        let _running = running;
        let (alone, together): (Vec<Job>, Vec<Job>) = batch
            .into_iter()
            .filter_map(still_wanted)
            .partition(|job| job.how.alone);
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
    let (users, answers): (Vec<User>, Vec<_>) = jobs
        .into_iter()
        .map(|job| (job.user, (job.answer, job.how)))
        .unzip();
    match encode(&users) {
        Ok(interests) => {
            for (i, (answer, how)) in answers.into_iter().enumerate() {
                // A caller that left meanwhile needs no answer.
                let _ = answer.send(Ok(Embedded::of(&interests, i, how)));
            }
        }
        Err(_) if users.len() > 1 => {
            for (user, (answer, how)) in users.iter().zip(answers) {
                let _ = answer.send(embed_one(encode, user, how));
            }
        }
        Err(cause) => {
            error!(%cause, "the model refused a user");
            for (answer, _) in answers {
                let _ = answer.send(Err(Error::Embedding));
            }
        }
    }
}

fn embed_one(encode: &Encode, user: &User, how: How) -> Result<Embedded, Error> {
    match encode(std::slice::from_ref(user)) {
        Ok(interests) => Ok(Embedded::of(&interests, 0, how)),
        Err(cause) => {
            error!(%cause, "the model refused a user");
            Err(Error::Embedding)
        }
    }
}

impl Embedded {
    /// The memory that its numbers take.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<f32>() * (self.interests.len() + self.weights.len())
    }

    fn of(interests: &Interests, user: usize, how: How) -> Self {
        let attention = interests.attention_of(user);
        Self {
            interests: interests.user(user).to_vec(),
            dim: interests.dim,
            weights: interests.weights_of(user).to_vec(),
            cold: interests.cold[user],
            attention: attention.filter(|_| how.attention).cloned(),
        }
    }
}

#[cfg(test)]
mod tests;
