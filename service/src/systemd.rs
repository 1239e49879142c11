//! Tells systemd, where it started the process, that the server is ready and that it stops (`Type=notify`).

use sd_notify::{NotifyState, notify};
use tracing::debug;

/// The server listens.
pub(crate) fn ready() {
    tell(NotifyState::Ready);
}

/// The server drains.
pub(crate) fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    if let Err(cause) = notify(&[state]) {
        debug!(%cause, "systemd is not told");
    }
}
