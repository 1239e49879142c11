//! The gateway at the wire: a true gateway and a true store, with towers whose data is canned.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batch;
mod house;
mod members;
mod owner;
mod pass_on;
mod recall;
mod switch;
mod traffic;
mod web;
