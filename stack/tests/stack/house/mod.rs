//! The whole path end to end: a model trained for real, real servers, real gRPC.

mod catalog;
mod clients;
mod differences;
mod explaining;
mod pages;
mod recall;
pub(crate) mod support;
mod swap;
mod truth;
mod updates;
