//! Reads the catalog, one item a line, and leaves out what cannot be indexed.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use encoder::features::CatalogItem;
use generation::partition;
use serde_json::Value;
use tracing::warn;

use crate::error::Error;

/// How many bad lines are shown one by one.
const SHOWN: u64 = 10;

/// A catalog being read, in the order of its lines.
pub(crate) struct Catalog {
    path: PathBuf,
    lines: BufReader<File>,
    line: u64,
    seen: HashMap<u64, u64>,
    counts: Counts,
}

/// What the lines of a catalog were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Lines that hold anything.
    pub(crate) lines: u64,
    /// Lines that hold no item.
    pub(crate) bad: u64,
}

impl Catalog {
    /// Opens `path` at its first line.
    ///
    /// # Errors
    /// [`Error::Read`] if it cannot be opened.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            lines: BufReader::new(file),
            line: 0,
            seen: HashMap::new(),
            counts: Counts::default(),
        })
    }

    /// What the lines read so far were.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Reads the next item; `None` after the last line.
    ///
    /// A line that holds no item is counted, shown with its number, and passed over. An item that
    /// has a key gets the id that the key makes.
    ///
    /// # Errors
    /// [`Error::Duplicate`] if a line has the id of an earlier one (two keys may make one id).
    pub(crate) fn next(&mut self) -> Result<Option<CatalogItem>, Error> {
        let mut text = Vec::new();
        while self.read(&mut text)? {
            if text.trim_ascii().is_empty() {
                continue;
            }
            self.counts.lines += 1;
            match parse(&text) {
                Ok(item) => return self.admit(item).map(Some),
                Err(cause) => self.reject(&cause),
            }
        }
        Ok(None)
    }

    /// Reads one line into `text`; false at the end.
    fn read(&mut self, text: &mut Vec<u8>) -> Result<bool, Error> {
        text.clear();
        self.line += 1;
        let bytes = self
            .lines
            .read_until(b'\n', text)
            .map_err(|source| Error::Read {
                path: self.path.clone(),
                source,
            })?;
        Ok(bytes > 0)
    }

    fn admit(&mut self, item: CatalogItem) -> Result<CatalogItem, Error> {
        match self.seen.insert(item.id, self.line) {
            None => Ok(item),
            Some(first) => Err(Error::Duplicate {
                path: self.path.clone(),
                id: item.id,
                first,
                second: self.line,
            }),
        }
    }

    fn reject(&mut self, cause: &str) {
        self.counts.bad += 1;
        if self.counts.bad <= SHOWN {
            warn!(at = %format_args!("{}:{}", self.path.display(), self.line), cause, "bad line");
        }
    }
}

/// Reads one line, or says why it holds no item.
fn parse(line: &[u8]) -> Result<CatalogItem, String> {
    let mut value: Value = serde_json::from_slice(line).map_err(|cause| cause.to_string())?;
    if value.get("id").is_none()
        && let Some(key) = value.get("key").and_then(Value::as_str)
    {
        value["id"] = partition::item_id(key).into();
    }
    let item: CatalogItem = serde_json::from_value(value).map_err(|cause| cause.to_string())?;
    match &item.key {
        Some(key) if item.id != partition::item_id(key) => Err(format!(
            "item id {} is not {}, which the key {key:?} makes",
            item.id,
            partition::item_id(key)
        )),
        _ => Ok(item),
    }
}

impl Counts {
    /// Refuses a catalog with more than the share `limit` of bad lines.
    ///
    /// # Errors
    /// [`Error::BadLines`] with both counts.
    pub(crate) fn check(&self, path: &Path, limit: f64) -> Result<(), Error> {
        if self.bad as f64 > limit * self.lines as f64 {
            return Err(Error::BadLines {
                path: path.to_owned(),
                bad: self.bad,
                lines: self.lines,
                limit,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::fs;

    use super::*;

    fn read(text: &str) -> (Result<Vec<CatalogItem>, Error>, Counts) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("items.jsonl");
        fs::write(&path, text).unwrap();
        let mut catalog = Catalog::open(&path).unwrap();
        let items = std::iter::from_fn(|| catalog.next().transpose()).collect();
        (items, catalog.counts())
    }

    #[test]
    fn items_come_in_the_order_of_their_lines() {
        let (items, counts) = read(
            "{\"id\":2,\"title\":\"b\",\"features\":{}}\n\n{\"id\":1,\"features\":{\"year\":1995}}",
        );
        let ids: Vec<u64> = items.unwrap().iter().map(|item| item.id).collect();
        assert_eq!(ids, [2, 1]);
        assert_eq!(counts, Counts { lines: 2, bad: 0 });
    }

    #[test]
    fn a_key_makes_the_id() {
        let (items, _) = read("{\"key\":\"sku-7\",\"features\":{}}");
        assert_eq!(items.unwrap()[0].id, partition::item_id("sku-7"));
        let (items, counts) = read("{\"id\":1,\"key\":\"sku-7\"}");
        assert_eq!((items.unwrap().len(), counts.bad), (0, 1));
    }

    #[test]
    fn two_lines_of_one_id_are_refused_with_both_line_numbers() {
        let (items, _) = read("{\"id\":1,\"features\":{}}\n{\"id\":1,\"features\":{}}\n");
        let cause = items.unwrap_err().to_string();
        assert!(cause.contains("lines 1 and 2"), "{cause}");
    }

    #[test]
    fn bad_lines_are_counted_and_refused_over_the_limit() {
        let (items, counts) = read("{\"id\":1,\"features\":{}}\nnot json\n\u{fffd}\n");
        assert_eq!(items.unwrap().len(), 1);
        assert_eq!(counts, Counts { lines: 3, bad: 2 });
        let path = Path::new("items.jsonl");
        assert!(counts.check(path, 0.7).is_ok());
        let cause = counts.check(path, 0.5).unwrap_err().to_string();
        assert!(cause.contains("2 of 3"), "{cause}");
    }
}
