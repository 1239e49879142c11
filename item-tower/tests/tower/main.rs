//! A true item tower on a free port: embedding, searching, following CURRENT.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod embedding;
mod rig;
mod rounded;
mod serving;
mod updates;
mod vectors;
