//! The one thread that writes: takes everything that waits into one commit, answers after it.

use std::{
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use futures::{FutureExt as _, future::BoxFuture};
use redb::Database;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracing::{error, info};

use crate::{
    error::Error,
    history::{Tally, Write},
    metrics,
    redb_store::{Shared, apply::apply, now, open::Opener},
};

/// How much one commit may write, roughly.
const COMMIT_BYTES: usize = 8 << 20;
/// How long after a failure the file is opened again, and between two tries.
const REOPEN: Duration = Duration::from_secs(1);

/// The thread and the queue in front of it; dropping it waits until all that waited is answered.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Job>>,
    limit: usize,
    thread: Option<JoinHandle<()>>,
}

/// A write, and who waits for it.
struct Job {
    write: Write,
    answer: oneshot::Sender<Result<Tally, Error>>,
}

/// What the thread has.
struct Worker {
    jobs: mpsc::Receiver<Job>,
    shared: Arc<Shared>,
    opener: Opener,
    keep: usize,
    runtime: Handle,
}

impl Writer {
    /// Starts the thread; at most `limit` writes wait for it.
    pub(super) fn start(shared: Arc<Shared>, opener: Opener, keep: usize, limit: usize) -> Self {
        let (queue, jobs) = mpsc::channel(limit);
        let worker = Worker {
            jobs,
            shared,
            opener,
            keep,
            runtime: Handle::current(),
        };
        Self {
            queue: Some(queue),
            limit,
            thread: Some(std::thread::spawn(move || worker.run())),
        }
    }

    /// Queues a write; the future waits until it is on disk.
    pub(super) fn write(&self, write: Write) -> BoxFuture<'static, Result<Tally, Error>> {
        let queued = self.queue(write);
        async move { queued?.await.map_err(|_| stopped())? }.boxed()
    }

    fn queue(&self, write: Write) -> Result<oneshot::Receiver<Result<Tally, Error>>, Error> {
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue
            .try_send(Job { write, answer })
            .map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => Error::QueueFull {
                    what: "writes",
                    limit: self.limit,
                },
                mpsc::error::TrySendError::Closed(_) => stopped(),
            })?;
        metrics::waiting(queue.max_capacity() - queue.capacity());
        Ok(answered)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so; nothing is left to wait for.
            let _ = thread.join();
        }
    }
}

impl Drop for Worker {
    /// However the thread ends, by a panic too, nothing is acknowledged any more.
    fn drop(&mut self) {
        self.shared.writable.send_replace(false);
    }
}

impl Worker {
    fn run(mut self) {
        while let Some(first) = self.jobs.blocking_recv() {
            let batch = self.gather(first);
            if batch.is_empty() {
                continue;
            }
            if let Err(cause) = self.commit(batch) {
                error!(
                    cause,
                    "the history cannot be written, nothing is acknowledged"
                );
                self.shared.writable.send_replace(false);
                if !self.recover() {
                    return;
                }
                info!("the history can be written again");
                self.shared.writable.send_replace(true);
            }
        }
    }

    /// Takes what waits, up to the size of a commit; callers that left are left out.
    fn gather(&mut self, first: Job) -> Vec<Job> {
        let mut bytes = first.write.bytes();
        let mut batch = vec![first];
        while bytes < COMMIT_BYTES
            && let Ok(job) = self.jobs.try_recv()
        {
            bytes += job.write.bytes();
            batch.push(job);
        }
        metrics::waiting(self.jobs.len());
        batch.retain(|job| !job.answer.is_closed());
        batch
    }

    /// Commits a batch and answers it; on failure answers that, and returns the cause.
    fn commit(&self, batch: Vec<Job>) -> Result<(), String> {
        let writes: Vec<&Write> = batch.iter().map(|job| &job.write).collect();
        let database = self.shared.database();
        let begun = Instant::now();
        let committed = match database {
            Some(database) => commit(&database, &writes, self.keep).map_err(|e| e.to_string()),
            None => Err("it is not open".to_owned()),
        };
        match committed {
            Ok(tallies) => {
                metrics::committed(begun.elapsed());
                self.shared.publish(&writes, &tallies);
                for (job, tally) in batch.into_iter().zip(tallies) {
                    // A caller that left meanwhile needs no answer; what it wrote stays.
                    let _ = job.answer.send(Ok(tally));
                }
                Ok(())
            }
            Err(cause) => {
                for job in batch {
                    let _ = job.answer.send(Err(Error::History(cause.clone())));
                }
                Err(cause)
            }
        }
    }

    /// Refuses writes while it opens the file again and again; false if the store was dropped.
    ///
    /// redb answers nothing more from a file that failed once, so readers need it too.
    fn recover(&mut self) -> bool {
        loop {
            self.shared.set_database(None);
            let refusing = refuse_for(REOPEN, &mut self.jobs);
            if !self.runtime.block_on(refusing) {
                return false;
            }
            let reopened = (self.opener)().map_err(|cause| cause.to_string());
            let reopened = reopened.and_then(|database| {
                let reopened = self.shared.reopened(database);
                reopened.map_err(|cause| cause.to_string())
            });
            match reopened {
                Ok(()) => return true,
                Err(cause) => error!(cause, "the history cannot be opened again"),
            }
        }
    }
}

/// Refuses what comes during `time`; false if nothing can come any more.
async fn refuse_for(time: Duration, jobs: &mut mpsc::Receiver<Job>) -> bool {
    let refusing = async {
        while let Some(job) = jobs.recv().await {
            let cause = "it failed, and is being reopened".to_owned();
            let _ = job.answer.send(Err(Error::History(cause)));
        }
    };
    timeout(time, refusing).await.is_err()
}

/// Applies the writes in one transaction and makes it durable.
fn commit(database: &Database, writes: &[&Write], keep: usize) -> Result<Vec<Tally>, redb::Error> {
    let transaction = database.begin_write()?;
    let tallies = apply(&transaction, writes, keep, now())?;
    transaction.commit()?;
    Ok(tallies)
}

fn stopped() -> Error {
    Error::History("its writer has stopped".to_owned())
}
