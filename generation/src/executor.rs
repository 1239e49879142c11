//! An executor on a thread of its own, for blocking threads that need an answer from the network.

use std::{io, thread};

use futures::executor::block_on;
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

use crate::error::Error;

/// Runs futures whatever thread asks, with or without a runtime; ends when it is dropped.
///
/// Connections live as long as it does: those of a caller's runtime would die with that.
#[derive(Debug)]
pub(crate) struct Executor {
    handle: Handle,
    _alive: oneshot::Sender<()>,
}

impl Executor {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel();
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || runtime.block_on(ended))?;
        Ok(Self {
            handle,
            _alive: alive,
        })
    }

    /// Runs `work` to its end; blocks this thread.
    pub(crate) fn wait<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        block_on(self.handle.spawn(work))?
    }
}
