//! The request to shut down, as everything that must end can wait for it.

use tokio::sync::watch;
use tracing::info;

/// Waits for the request to shut down; clones see the same request.
#[derive(Clone, Debug)]
pub struct Shutdown {
    requested: watch::Receiver<bool>,
}

/// Requests the shutdown of everything that holds its [`Shutdown`]; dropping it does so too.
#[derive(Debug)]
pub struct Trigger {
    request: watch::Sender<bool>,
}

impl Shutdown {
    /// Requested by the trigger returned.
    pub fn manual() -> (Trigger, Self) {
        let (request, requested) = watch::channel(false);
        (Trigger { request }, Self { requested })
    }

    /// Requested by the first SIGTERM or SIGINT; the second of them ends the process at once.
    ///
    /// # Errors
    /// If the process may not listen for signals.
    pub fn on_signals() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (trigger, shutdown) = Self::manual();
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                }
            };
            let signal = next().await;
            info!(signal, "shutdown requested");
            trigger.request();
            let signal = next().await;
            info!(signal, "shutdown requested again, ending at once");
            std::process::exit(1);
        });
        Ok(shutdown)
    }

    /// Returns once shutdown is requested.
    pub async fn requested(&self) {
        let mut requested = self.requested.clone();
        // A dropped trigger is a request: nobody is left to make one.
        let _ = requested.wait_for(|requested| *requested).await;
    }

    /// Whether shutdown is requested already.
    pub fn is_requested(&self) -> bool {
        *self.requested.borrow() || self.requested.has_changed().is_err()
    }
}

impl Trigger {
    /// Requests the shutdown.
    pub fn request(&self) {
        self.request.send_replace(true);
    }
}
