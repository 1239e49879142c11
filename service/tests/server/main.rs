//! The server's behaviours, on a true server on port 0 with public clients.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod drain;
mod limits;
mod reflection;
mod sample;
