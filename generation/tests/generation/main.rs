//! Generations and pointers over a real directory, and over the objects of a real server.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod artifacts;
mod bucket;
mod collecting;
mod damage;
mod deltas;
mod fixture;
mod killing;
mod manifests;
mod objects;
mod opening;
mod pointers;
mod publishing;
mod rows;
mod server;
mod traffic;
