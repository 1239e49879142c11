//! The formats of a catalog.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{catalog::refused, error::Error};

/// A format of the catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// What the file's extension says.
    #[default]
    Auto,
    /// One item a line, as JSON.
    Jsonl,
    /// A table of text with a header.
    Csv,
    /// A table of typed columns.
    Parquet,
}

impl Format {
    /// The format of the file at `path`; never [`Format::Auto`].
    ///
    /// # Errors
    /// [`Error::Table`] if this is [`Format::Auto`] and the extension says nothing.
    pub(crate) fn of(self, path: &Path) -> Result<Self, Error> {
        if self != Self::Auto {
            return Ok(self);
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension.map(str::to_lowercase).as_deref() {
            Some("jsonl" | "ndjson" | "json") => Ok(Self::Jsonl),
            Some("csv") => Ok(Self::Csv),
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(refused(path)(
                "its extension is none of jsonl, csv and parquet, and `catalog_format` names no format",
            )),
        }
    }
}
