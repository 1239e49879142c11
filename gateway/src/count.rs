//! Counts what is under way.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Counts one while it lives, also one that is dropped half way.
#[derive(Debug)]
pub(crate) struct Counted<'a>(&'a AtomicU32);

impl<'a> Counted<'a> {
    /// Counts one more.
    pub(crate) fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
