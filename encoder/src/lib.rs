//! What training, serving and indexing must agree on: from raw features to vectors.
//!
//! An [`artifact::Artifact`] is a directory of two ONNX towers, a [`signature::Signature`] that says where each of
//! their tensors comes from, [`vocabulary`] files and [`golden`] vectors. A [`session::UserEncoder`] or
//! [`session::ItemEncoder`] opened from it turns raw [`features`] into [`embedding`] rows: features become tensors
//! only in [`features`], tensors become vectors only in [`session`]. Training, evaluation, `onnx check`, the user tower
//! and the item tower all pass here, so what was measured is what serves.
//!
//! The crate knows no network and no async: encoding blocks, so call it off the executor.

pub mod artifact;
pub mod embedding;
pub mod error;
pub mod features;
pub mod gather;
pub mod golden;
pub mod messages;
pub mod sample;
pub mod session;
pub mod signature;
pub mod vocabulary;

mod external;
