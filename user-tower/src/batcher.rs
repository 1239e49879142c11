//! Puts users that wait at the same time into one inference, and refuses those that could not be ready in time.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use encoder::{
    embedding::{Attention, Interests},
    features::User,
};
use service::{
    blocking::{Blocking, Permit},
    deadline::Deadline,
};
use tokio::{runtime::Handle, sync::oneshot, task::yield_now, time::sleep_until};
use tracing::error;

use crate::{
    batcher::estimate::{Estimate, Load, Running},
    config::BatcherConfig,
    error::Error,
    metrics,
};

mod estimate;

/// Embeds users, `[users]` in and as many interests out; blocks for one inference.
pub(crate) type Encode =
    Arc<dyn Fn(&[User]) -> Result<Interests, encoder::error::Error> + Send + Sync>;

/// The queue in front of one model.
pub(crate) struct Batcher(Arc<Line>);

/// Who waits, and for what.
struct Line {
    jobs: Mutex<VecDeque<Job>>,
    /// Whether a task waits for the right to run what waits.
    awaited: AtomicBool,
    encode: Encode,
    pool: Blocking,
    config: BatcherConfig,
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

impl Batcher {
    /// Opens the queue of one model; inferences run with permits of `pool`, at most `sessions` at once.
    pub(crate) fn new(
        encode: Encode,
        config: &BatcherConfig,
        pool: Blocking,
        sessions: usize,
    ) -> Self {
        let estimate = Arc::new(Estimate::new(sessions, config.max_batch));
        let times = Arc::clone(&estimate);
        let encode: Encode = Arc::new(move |users| times.measure(users.len(), || encode(users)));
        Self(Arc::new(Line {
            jobs: Mutex::default(),
            awaited: AtomicBool::new(false),
            encode,
            pool,
            config: config.clone(),
            estimate,
        }))
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
        let joined = self.0.join(users, how, deadline)?;
        let mut answers = joined.answers.into_iter();
        let mut embedded = Vec::with_capacity(answers.len());
        if let Some(mut first) = answers.next() {
            let early = tokio::select! {
                biased;
                answer = &mut first => Some(answer),
                () = self.0.gather(deadline) => None,
            };
            drop(joined.starts);
            let answer = match early {
                Some(answer) => answer,
                None => first.await,
            };
            embedded.push(answer.map_err(|_| Error::Embedding)??);
        }
        for answer in answers {
            embedded.push(answer.await.map_err(|_| Error::Embedding)??);
        }
        Ok(embedded)
    }
}

/// Users that wait.
struct Joined<'a> {
    answers: Vec<oneshot::Receiver<Result<Embedded, Error>>>,
    starts: Starts<'a>,
}

/// Lets what waits run when it is dropped, also where the call that joined ends before: others may be behind it.
struct Starts<'a>(&'a Arc<Line>);

impl Drop for Starts<'_> {
    fn drop(&mut self) {
        // There is none while the server goes down.
        if Handle::try_current().is_ok() {
            self.0.start();
        }
    }
}

impl Line {
    /// Puts users at the end.
    fn join(
        self: &Arc<Self>,
        users: Vec<User>,
        how: How,
        deadline: Deadline,
    ) -> Result<Joined<'_>, Error> {
        let mut jobs = self.jobs();
        let limit = self.config.queue;
        if jobs.len() + users.len() > limit {
            return Err(Error::QueueFull {
                what: "users",
                limit,
            });
        }
        self.admit(Load::of(users.len(), how.alone), deadline)?;
        let join = |user| {
            let (answer, answered) = oneshot::channel();
            jobs.push_back(Job {
                user,
                how,
                deadline,
                answer,
            });
            answered
        };
        Ok(Joined {
            answers: users.into_iter().map(join).collect(),
            starts: Starts(self),
        })
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

    /// Lets those who come at the same time join; and others for `max_wait` as long as there is room, but not so long that the call of
    /// `deadline` would be late.
    async fn gather(&self, deadline: Deadline) {
        let max_wait = self.config.max_wait;
        if max_wait.is_zero() {
            yield_now().await;
        } else if self.jobs().len() < self.config.max_batch {
            let now = Instant::now();
            let takes = self.estimate.wait(Load::default()).unwrap_or_default();
            let slack = deadline.at().checked_sub(takes).unwrap_or(now);
            sleep_until(slack.min(now + max_wait).into()).await;
        }
    }

    /// Lets what waits run, as far as there are permits; the rest as soon as there is one.
    ///
    /// It is called after everybody who joined, so nobody is left waiting.
    fn start(self: &Arc<Self>) {
        while !self.jobs().is_empty() {
            let permit = self.pool.try_permit();
            // Of those who joined meanwhile others take care: who runs a batch here has an answer to give.
            let ran_here = permit.is_none_or(|permit| self.run_batch(permit));
            if ran_here && !self.jobs().is_empty() {
                return self.start_later();
            }
        }
    }

    /// Lets what waits run once there is a permit. While all cores are busy the queue grows, and with it the next batch.
    fn start_later(self: &Arc<Self>) {
        if self.awaited.swap(true, Ordering::AcqRel) {
            return;
        }
        let line = Arc::clone(self);
        tokio::spawn(async move {
            let permit = line.pool.permit().await;
            line.awaited.store(false, Ordering::Release);
            if let Ok(permit) = permit {
                line.run_batch(permit);
                line.start();
            }
        });
    }

    /// Runs one batch of what waits: on the pool, or here, if the way there and back would cost as much; returns whether it is done.
    fn run_batch(&self, permit: Permit) -> bool {
        let batch: Vec<Job> = {
            let mut jobs = self.jobs();
            let size = jobs.len().min(self.config.max_batch);
            jobs.drain(..size).collect()
        };
        if batch.is_empty() {
            return true;
        }
        let mut users = Load::default();
        for job in &batch {
            users += Load::of(1, job.how.alone);
        }
        metrics::batch(batch.len());
        let running = self.estimate.run(users);
        let takes = self.estimate.takes(users);
        let is_short = takes.is_some_and(|takes| takes <= self.config.in_place);
        let encode = Arc::clone(&self.encode);
        let inference = move || infer(&encode, batch, running);
        if is_short {
            if let Err(cause) = permit.run_here(inference) {
                error!(%cause, "an inference did not end");
            }
        } else {
            permit.spawn(inference);
        }
        is_short
    }

    fn jobs(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Embeds a batch, and the users of it that run alone one by one.
fn infer(encode: &Encode, batch: Vec<Job>, running: Running) {
    let wanted = batch.into_iter().filter_map(still_wanted);
    let (alone, together): (Vec<Job>, Vec<Job>) = wanted.partition(|job| job.how.alone);
    for job in alone {
        answer(encode, vec![job]);
    }
    answer(encode, together);
    drop(running);
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
