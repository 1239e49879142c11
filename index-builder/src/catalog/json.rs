//! Reads a catalog of one JSON object a line.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

use encoder::features::CatalogItem;
use generation::partition;
use serde_json::Value;

use crate::{
    catalog::{draft, unreadable},
    error::Error,
};

/// The most bytes of a line; what is longer holds no item.
const LINE_LIMIT: usize = 1 << 20;

/// The lines of a file; those that hold nothing are passed over.
pub(crate) struct Lines {
    path: PathBuf,
    lines: BufReader<File>,
    text: Vec<u8>,
    /// Whether the line is longer than what was kept of it.
    cut: bool,
    line: u64,
    read: u64,
    size: u64,
}

impl Lines {
    /// Opens the file before its first line.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(unreadable(path))?;
        Ok(Self {
            path: path.to_owned(),
            size: file.metadata().map_err(unreadable(path))?.len(),
            lines: BufReader::new(file),
            text: Vec::new(),
            cut: false,
            line: 0,
            read: 0,
        })
    }

    /// Goes to the next line that holds anything.
    pub(super) fn advance(&mut self) -> Result<Option<u64>, Error> {
        loop {
            self.text.clear();
            self.take(LINE_LIMIT)?;
            if self.text.is_empty() {
                return Ok(None);
            }
            self.line += 1;
            self.cut = !self.ends() && self.text.len() == LINE_LIMIT;
            self.pass_rest()?;
            if self.cut || !self.text.trim_ascii().is_empty() {
                return Ok(Some(self.line));
            }
        }
    }

    /// Makes an item of the line.
    pub(super) fn item(&self) -> Result<CatalogItem, String> {
        if self.cut {
            return Err(format!("the line is longer than {LINE_LIMIT} bytes"));
        }
        let mut value: Value =
            serde_json::from_slice(&self.text).map_err(|cause| cause.to_string())?;
        if value.get("id").is_none()
            && let Some(key) = value.get("key").and_then(Value::as_str)
        {
            value["id"] = partition::item_id(key).into();
        }
        let item: CatalogItem = serde_json::from_value(value).map_err(|cause| cause.to_string())?;
        draft::id(Some(item.id), item.key.as_deref())?;
        Ok(item)
    }

    /// Bytes read, and all.
    pub(super) fn read(&self) -> (u64, u64) {
        (self.read, self.size)
    }

    /// Reads at most `limit` bytes more of the line.
    fn take(&mut self, limit: usize) -> Result<(), Error> {
        let mut rest = self.lines.by_ref().take(limit as u64);
        let read = rest
            .read_until(b'\n', &mut self.text)
            .map_err(unreadable(&self.path))?;
        self.read += read as u64;
        Ok(())
    }

    fn ends(&self) -> bool {
        self.text.ends_with(b"\n")
    }

    /// Reads what is over the limit, and keeps none of it.
    fn pass_rest(&mut self) -> Result<(), Error> {
        while self.text.len() >= LINE_LIMIT && !self.ends() {
            self.text.clear();
            self.take(LINE_LIMIT)?;
        }
        Ok(())
    }
}
