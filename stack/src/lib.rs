//! The whole house in one process: the roof over every other crate.
//!
//! [`house`] starts the parts, which talk real gRPC on loopback; [`prepare`] makes data and model, [`fill`] indexes and
//! imports. The orders of the `twotower` commands are [`demo`], [`serve`], [`seed`] and [`certs`]; those of [`client`] ask a running gateway.
//! `tests/` holds the end-to-end tests.

pub mod certs;
pub mod client;
pub mod demo;
pub mod figures;
pub mod fill;
pub mod house;
pub mod prepare;
pub mod print;
pub mod ready;
pub mod seed;
pub mod serve;
pub mod served;
pub mod show;
