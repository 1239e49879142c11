//! Keeps a damaged Parquet file from ending the process.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs `read`, and makes a refusal of a panic: the reader of Parquet indexes and slices by what damaged files say. What was being
/// read must not be used afterwards.
///
/// # Errors
/// In words, what `read` returned, or that it panicked.
pub(crate) fn guard<T, E: fmt::Display>(read: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(done) => done.map_err(|cause| cause.to_string()),
        Err(_) => Err("the file is damaged: its reader panicked".to_owned()),
    }
}
