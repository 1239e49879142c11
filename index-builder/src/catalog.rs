//! Reads the rows of a catalog, whatever its format.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use encoder::features::CatalogItem;

use crate::{
    catalog::{columns::Columns, csv::Records, format::Format, json::Lines, parquet::Rows},
    error::Error,
};

pub(crate) mod columns;
mod csv;
mod draft;
pub(crate) mod format;
pub(crate) mod guard;
mod json;
mod parquet;

#[cfg(test)]
pub(crate) mod tests;

/// A catalog being read, in the order of its rows.
pub(crate) enum Catalog {
    /// One item a line.
    Json(Lines),
    /// One item a record, under a header.
    Csv(Records),
    /// One item a row.
    Parquet(Rows),
}

impl Catalog {
    /// Opens `path` before its first row.
    ///
    /// # Errors
    /// [`Error::Read`] if it cannot be opened, [`Error::Table`] if it has no format, lacks a column, or has one that no item can
    /// have.
    pub(crate) fn open(path: &Path, format: Format, columns: &Columns) -> Result<Self, Error> {
        Ok(match format.of(path)? {
            Format::Csv => Self::Csv(Records::open(path, columns)?),
            Format::Parquet => Self::Parquet(Rows::open(path, columns)?),
            Format::Jsonl | Format::Auto => Self::Json(Lines::open(path)?),
        })
    }

    /// Goes to the next row and returns its number: its line in a text, else its place, both from 1. `None` after the last row.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Table`] if the rest cannot be read.
    pub(crate) fn advance(&mut self) -> Result<Option<u64>, Error> {
        match self {
            Self::Json(lines) => lines.advance(),
            Self::Csv(records) => records.advance(),
            Self::Parquet(rows) => rows.advance(),
        }
    }

    /// Makes an item of the row, or says why it holds none. An item that has a key and no id gets the id that the key makes.
    pub(crate) fn item(&self) -> Result<CatalogItem, String> {
        match self {
            Self::Json(lines) => lines.item(),
            Self::Csv(records) => records.item(),
            Self::Parquet(rows) => rows.item(),
        }
    }

    /// The share of it that was read, 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        let (read, all) = match self {
            Self::Json(lines) => lines.read(),
            Self::Csv(records) => records.read(),
            Self::Parquet(rows) => rows.read(),
        };
        if all == 0 {
            1.0
        } else {
            read as f64 / all as f64
        }
    }
}

/// Tells where reading failed.
pub(crate) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Read { path, source }
}

/// Tells what is wrong with a table.
pub(crate) fn refused<E: fmt::Display>(path: &Path) -> impl FnOnce(E) -> Error {
    let path: PathBuf = path.to_owned();
    move |reason| Error::Table {
        path,
        reason: reason.to_string(),
    }
}
