//! Reads a catalog of comma-separated values under a header.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    str,
};

use csv::{ByteRecord, Reader, ReaderBuilder};
use encoder::features::CatalogItem;

use crate::{
    catalog::{
        columns::{Columns, Role},
        draft::{Cell, Draft},
        refused, unreadable,
    },
    error::Error,
};

/// The most bytes that one record may make the reader read: a quote that is never closed makes a record of all that follows.
const RECORD_LIMIT: u64 = 16 << 20;

/// The records of a file.
pub(crate) struct Records {
    path: PathBuf,
    reader: Reader<Limited>,
    roles: Vec<Role>,
    record: ByteRecord,
    size: u64,
}

/// A file that refuses to give more than it is allowed at a time.
struct Limited {
    file: File,
    left: u64,
}

impl Records {
    /// Opens the file before its first record.
    pub(super) fn open(path: &Path, columns: &Columns) -> Result<Self, Error> {
        let file = File::open(path).map_err(unreadable(path))?;
        let size = file.metadata().map_err(unreadable(path))?.len();
        let limited = Limited {
            file,
            left: RECORD_LIMIT,
        };
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(limited);
        let header = reader.headers().map_err(refused(path))?.clone();
        let names: Vec<&str> = header.iter().collect();
        Ok(Self {
            path: path.to_owned(),
            roles: columns.roles(&names).map_err(refused(path))?,
            reader,
            record: ByteRecord::new(),
            size,
        })
    }

    /// Goes to the next record and returns the line that it begins in.
    pub(super) fn advance(&mut self) -> Result<Option<u64>, Error> {
        self.reader.get_mut().left = RECORD_LIMIT;
        let line = self.reader.position().line();
        let found = self
            .reader
            .read_byte_record(&mut self.record)
            .map_err(|cause| refused(&self.path)(format!("line {line}: {cause}")))?;
        let begun = self.record.position().map_or(line, csv::Position::line);
        Ok(found.then_some(begun))
    }

    /// Makes an item of the record.
    pub(super) fn item(&self) -> Result<CatalogItem, String> {
        if self.record.len() != self.roles.len() {
            return Err(format!(
                "it has {} fields, the header has {}",
                self.record.len(),
                self.roles.len()
            ));
        }
        let mut draft = Draft::default();
        for (role, field) in self.roles.iter().zip(&self.record) {
            let text = str::from_utf8(field).map_err(|cause| cause.to_string())?;
            if !text.is_empty() {
                draft.put(role, Cell::Text(text))?;
            }
        }
        draft.finish()
    }

    /// Bytes read, and all.
    pub(super) fn read(&self) -> (u64, u64) {
        (self.reader.position().byte(), self.size)
    }
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.file.read(&mut buffer[..most])?;
        if read == 0 && self.left == 0 {
            return Err(io::Error::other(format!(
                "a record is longer than {RECORD_LIMIT} bytes; is a quote not closed?"
            )));
        }
        self.left -= read as u64;
        Ok(read)
    }
}
