//! Where native code and long computations run: with permits, never more at once than cores, on blocking threads or where they are
//! short.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task,
};
use tracing::error;

use crate::metrics::{self, Pool};

/// A bounded pool of blocking work; clones share its permits.
///
/// Work that must not starve other work gets a pool of its own.
#[derive(Clone, Debug)]
pub struct Blocking {
    permits: Arc<Semaphore>,
    times: Pool,
}

/// The right to run one task; given back when the task ends, or when it is dropped unused.
#[derive(Debug)]
pub struct Permit {
    permit: OwnedSemaphorePermit,
    times: Pool,
}

/// Why a task gave no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The task panicked.
    #[error("blocking task panicked: {0}")]
    Panicked(String),
    /// The runtime is shutting down.
    #[error("the runtime is shutting down")]
    ShutDown,
}

impl Blocking {
    /// Runs at most `permits` tasks at once, 0 means one a core; metrics know the pool as `name`.
    pub fn new(name: &'static str, permits: usize) -> Self {
        let permits = match permits {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            permits => permits,
        };
        Self {
            permits: Arc::new(Semaphore::new(permits)),
            times: Pool::new(name),
        }
    }

    /// Waits for the right to run one task.
    ///
    /// # Errors
    /// [`Error::ShutDown`], never while the pool lives.
    pub async fn permit(&self) -> Result<Permit, Error> {
        let asked = Instant::now();
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        self.times.waited(asked.elapsed());
        permit
            .map(|permit| self.with(permit))
            .map_err(|_| Error::ShutDown)
    }

    /// Returns the right to run one task, if nobody has to wait for it.
    pub fn try_permit(&self) -> Option<Permit> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        permit.ok().map(|permit| {
            self.times.waited(Duration::ZERO);
            self.with(permit)
        })
    }

    /// Runs a task that is known to be short on this thread, at once.
    pub fn run_here<T>(&self, task: impl FnOnce() -> T) -> T {
        self.times.waited(Duration::ZERO);
        let begun = Instant::now();
        let result = task();
        self.times.took(begun.elapsed());
        result
    }

    fn with(&self, permit: OwnedSemaphorePermit) -> Permit {
        Permit {
            permit,
            times: self.times.clone(),
        }
    }

    /// Runs `task` on a blocking thread once a permit is free.
    ///
    /// Dropping the future while it waits drops the task; once begun, a task runs to its end and
    /// keeps its permit until then.
    ///
    /// # Errors
    /// [`Error::Panicked`] if the task panicked; the pool goes on.
    pub async fn run<T, F>(&self, task: F) -> Result<T, Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.permit().await?.run(task).await
    }
}

impl Permit {
    /// Runs `task` on a blocking thread, as [`Blocking::run`] does.
    ///
    /// # Errors
    /// As [`Blocking::run`].
    pub async fn run<T, F>(self, task: F) -> Result<T, Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let handle = task::spawn_blocking(move || self.run_here(task));
        handle.await.map_err(|_| Error::ShutDown)?
    }

    /// Runs `task` on a blocking thread; nobody waits for its end, and a panic is logged.
    pub fn spawn(self, task: impl FnOnce() + Send + 'static) {
        task::spawn_blocking(move || {
            if let Err(cause) = self.run_here(task) {
                error!(%cause, "nobody gets an answer of it");
            }
        });
    }

    /// Runs `task` on this thread.
    ///
    /// # Errors
    /// [`Error::Panicked`].
    pub fn run_here<T>(self, task: impl FnOnce() -> T) -> Result<T, Error> {
        let begun = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(task));
        self.times.took(begun.elapsed());
        drop(self.permit);
        if result.is_err() {
            metrics::panicked();
        }
        result.map_err(|payload| Error::Panicked(crate::panic::message(&*payload).to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    };

    use super::*;

    #[tokio::test]
    async fn no_more_tasks_run_at_once_than_there_are_permits() {
        let pool = Blocking::new("tests", 2);
        let running = Arc::new(AtomicUsize::new(0));
        let (release, gate) = mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let (pool, running, gate) = (pool.clone(), Arc::clone(&running), Arc::clone(&gate));
                tokio::spawn(async move {
                    pool.run(move || {
                        let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                        gate.lock().unwrap().recv().unwrap();
                        running.fetch_sub(1, Ordering::SeqCst);
                        now
                    })
                    .await
                    .unwrap()
                })
            })
            .collect();
        for _ in 0..6 {
            release.send(()).unwrap();
        }
        for task in tasks {
            assert!(task.await.unwrap() <= 2);
        }
    }

    #[tokio::test]
    async fn a_panicking_task_is_an_error_and_returns_its_permit() {
        let pool = Blocking::new("tests", 1);
        let failed = pool.run(|| panic!("the model is on fire")).await;
        let message = failed.unwrap_err().to_string();
        assert_eq!(message, "blocking task panicked: the model is on fire");
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
    }
}
