//! The server's behaviours, on a true server on port 0 with public clients.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod abuse;
mod calls;
mod credentials;
mod drain;
mod http2;
mod identity;
mod limits;
mod messages;
mod reflection;
mod sample;
