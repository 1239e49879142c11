//! Generations and pointers over a real directory.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod artifacts;
mod collecting;
mod damage;
mod deltas;
mod fixture;
mod killing;
mod manifests;
mod opening;
mod pointers;
mod publishing;
mod rollback;
mod rows;
