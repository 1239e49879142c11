//! A Parquet file that is read row by row.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use indicatif::ProgressBar;
use parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::{Field, reader::RowIter},
};

/// Rows between two moves of the bar.
const STEP: u64 = 4_096;

/// A file before its first row.
pub(super) struct Table {
    path: PathBuf,
    rows: RowIter<'static>,
    count: u64,
    /// Where each wanted column stands in a row, if it is there.
    places: Vec<Option<usize>>,
    names: Vec<String>,
}

/// The wanted columns of one row, by their place in what is wanted.
pub(super) struct Cells<'a> {
    table: &'a [Option<usize>],
    names: &'a [String],
    fields: Vec<&'a Field>,
}

impl Table {
    /// Opens a file and finds the `wanted` columns, each required or not.
    pub(super) fn open(path: &Path, wanted: &[(&str, bool)]) -> anyhow::Result<Self> {
        let shown = || path.display().to_string();
        let file = File::open(path).with_context(shown)?;
        let reader = SerializedFileReader::new(file).with_context(shown)?;
        let metadata = reader.metadata().file_metadata();
        let count = u64::try_from(metadata.num_rows()).unwrap_or_default();
        let fields = metadata.schema().get_fields();
        let mut places = Vec::new();
        for (name, required) in wanted {
            let place = fields.iter().position(|field| field.name() == *name);
            if place.is_none() && *required {
                let found: Vec<_> = fields.iter().map(|field| field.name()).collect();
                bail!(
                    "{} has no column {name:?}, it has {found:?}",
                    path.display()
                );
            }
            places.push(place);
        }
        Ok(Self {
            path: path.to_owned(),
            rows: RowIter::from_file_into(Box::new(reader)),
            count,
            places,
            names: wanted.iter().map(|(name, _)| (*name).to_owned()).collect(),
        })
    }

    /// Calls `take` with each row until it says false; says whether it never did. Moves the bar by the file's bytes.
    pub(super) fn each(
        self,
        bar: &ProgressBar,
        mut take: impl FnMut(&Cells<'_>) -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        let size = self.path.metadata().map_or(0, |metadata| metadata.len());
        let before = bar.position();
        for (row, number) in self.rows.zip(1_u64..) {
            let place = || format!("{}, row {number}", self.path.display());
            let row = row.with_context(place)?;
            let cells = Cells {
                table: &self.places,
                names: &self.names,
                fields: row.get_column_iter().map(|(_, field)| field).collect(),
            };
            if !take(&cells).with_context(place)? {
                return Ok(false);
            }
            if number % STEP == 0 {
                let share = number as f64 / self.count.max(number) as f64;
                bar.set_position(before + (size as f64 * share) as u64);
            }
        }
        bar.set_position(before + size);
        Ok(true)
    }
}

impl Cells<'_> {
    /// Whether the file has the column.
    pub(super) fn has(&self, at: usize) -> bool {
        self.table[at].is_some()
    }

    /// Whether there is anything in the column.
    pub(super) fn maybe(&self, at: usize) -> bool {
        self.table[at].is_some_and(|place| *self.fields[place] != Field::Null)
    }

    /// A text.
    pub(super) fn text(&self, at: usize) -> anyhow::Result<&str> {
        match self.field(at)? {
            Field::Str(text) => Ok(text),
            other => self.wrong(at, "a text", other),
        }
    }

    /// A whole number; one without a sign has the bits that it has there.
    pub(super) fn whole(&self, at: usize) -> anyhow::Result<u64> {
        match self.field(at)? {
            Field::Int(whole) => Ok(i64::from(*whole) as u64),
            Field::Long(whole) => Ok(*whole as u64),
            Field::UInt(whole) => Ok(u64::from(*whole)),
            Field::ULong(whole) => Ok(*whole),
            other => self.wrong(at, "a whole number", other),
        }
    }

    /// A whole number, or `default` where there is none.
    pub(super) fn whole_or(&self, at: usize, default: u64) -> anyhow::Result<u64> {
        match self.maybe(at) {
            true => self.whole(at),
            false => Ok(default),
        }
    }

    /// A number.
    pub(super) fn real(&self, at: usize) -> anyhow::Result<f32> {
        match self.field(at)? {
            Field::Float(number) => Ok(*number),
            Field::Double(number) => Ok(*number as f32),
            _ => Ok(self.whole(at)? as i64 as f32),
        }
    }

    fn field(&self, at: usize) -> anyhow::Result<&Field> {
        let place = self.table[at].with_context(|| format!("no column {:?}", self.names[at]))?;
        Ok(self.fields[place])
    }

    fn wrong<T>(&self, at: usize, wanted: &str, found: &Field) -> anyhow::Result<T> {
        bail!(
            "column {:?} holds {found}, must be {wanted}",
            self.names[at]
        )
    }
}
