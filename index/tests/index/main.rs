//! Shards over real files: built, opened, searched.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod building;
mod cells;
mod damage;
mod filtering;
mod fixture;
mod freshness;
mod graphs;
mod halves;
mod searching;
