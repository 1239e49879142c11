//! Trains the two towers, exports them as ONNX, evaluates them.

pub mod adopt;
pub mod baselines;
pub mod bench;
pub mod check;
pub mod cold_start;
pub mod config;
pub mod dataset;
pub mod evaluate;
pub mod export;
mod graph;
mod kernels;
mod loss;
pub mod metrics;
pub mod model;
mod progress;
mod sampling;
pub mod train;
