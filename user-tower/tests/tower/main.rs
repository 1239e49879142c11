//! A user tower's behaviours, on true servers with a small artifact that ONNX Runtime runs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attention;
mod embedding;
mod events;
mod hand_over;
mod house;
mod import;
mod inference;
mod kept;
mod process;
mod rows;
