//! Lines that a reader could not use: counted, the first ones kept to be shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dataset::error::Error;

/// How many bad lines are kept with their reasons.
const SHOWN: usize = 10;

/// The lines that a reader could not use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BadLines {
    /// All of them.
    pub count: u64,
    /// The first few.
    pub first: Vec<BadLine>,
}

/// One line that a reader could not use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BadLine {
    /// Name of the file.
    pub file: String,
    /// Counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl BadLines {
    /// Counts one more bad line.
    pub(crate) fn push(&mut self, file: &str, line: u64, reason: impl Into<String>) {
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(BadLine {
                file: file.to_owned(),
                line,
                reason: reason.into(),
            });
        }
    }

    /// Checks that at most the share `allowed` of `lines` is bad.
    ///
    /// # Errors
    /// [`Error::TooManyBadLines`] otherwise.
    pub(crate) fn check(&self, lines: u64, allowed: f64) -> Result<(), Error> {
        if self.count as f64 <= lines as f64 * allowed {
            return Ok(());
        }
        Err(Error::TooManyBadLines {
            bad: self.clone(),
            lines,
            allowed,
        })
    }
}

/// Writes the count, then a line for each of those kept.
impl fmt::Display for BadLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.count)?;
        for bad in &self.first {
            write!(f, "\n  {}:{}: {}", bad.file, bad.line, bad.reason)?;
        }
        match self.count - self.first.len() as u64 {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
