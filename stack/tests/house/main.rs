//! The whole path end to end: a model trained for real, real servers, real gRPC.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod catalog;
mod clients;
mod recall;
mod support;
mod swap;
mod updates;
