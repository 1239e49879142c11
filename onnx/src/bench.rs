//! Trains, measures and tabulates every tower of the repository: `onnx bench`.
//!
//! [`models`] is the order: rows from [`plan`], each made by [`make`] and kept as [`finished`]; [`pairs`] compares two of them;
//! [`goals`], [`tables`], [`curves`] and [`page`] say what was [`found`]. [`report`] is for everybody who measures.

pub mod curves;
pub mod error;
pub mod finished;
pub mod found;
pub mod goals;
pub mod machine;
pub mod make;
pub mod models;
pub mod page;
pub mod pairs;
pub mod plan;
pub mod report;
pub mod serving;
pub mod standing;
pub mod tables;
