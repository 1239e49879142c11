//! The gateway at the wire: a true gateway and a true store, with towers whose data is canned.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod house;
mod owner;
mod pass_on;
mod recall;
mod switch;
mod web;
