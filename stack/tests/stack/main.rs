//! The house as a whole: its servers together, its programs as processes, its files as they are shipped.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deployment;
mod hostile;
mod house;
mod reindex;
mod samples;
mod secure;
mod strangers;
