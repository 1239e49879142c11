//! Kills this process before one of the operations that change the disk: for a test, in a process of its own.

use std::{
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Operations left until the process dies; it never does at 0.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// Lets the process die before the `at`th operation from now on.
pub(crate) fn arm(at: usize) {
    LEFT.store(at, Ordering::SeqCst);
}

/// Whether the process is still to die.
fn armed() -> bool {
    LEFT.load(Ordering::SeqCst) > 0
}

/// Comes before every operation that changes the disk.
pub(crate) fn reach() {
    if armed() && LEFT.fetch_sub(1, Ordering::SeqCst) == 1 {
        process::abort();
    }
}
