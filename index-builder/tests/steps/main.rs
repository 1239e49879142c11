//! The job step by step: formats of the catalog, ready vectors, steps that are done twice, out of order, or killed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cells;
mod formats;
mod kills;
mod rig;
mod rounded;
mod steps;
#[expect(
    dead_code,
    reason = "the crate's own tests write more kinds of columns"
)]
#[path = "../../src/catalog/tests/tables.rs"]
mod tables;
mod vectors;
