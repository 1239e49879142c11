//! Some columns of a CSV or Parquet file, row by row.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use parquet::{
    basic::{LogicalType, TimeUnit},
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row, reader::RowIter},
    schema::types::Type,
};

use crate::dataset::error::Error;

/// The content of a cell that is not empty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// Text, or a number written out.
    Text(String),
    /// A timestamp of Parquet, in seconds.
    Time(i64),
    /// A list of Parquet.
    List(Vec<String>),
}

/// A row's cells, one for each column asked for, or what is wrong with the row.
type Cells = Result<Vec<Option<Cell>>, String>;

/// A file opened for reading.
pub(crate) enum Table {
    /// `.csv`, with a header.
    Csv {
        /// The file.
        path: PathBuf,
        /// The rows left.
        reader: Box<csv::Reader<File>>,
        /// Where each column asked for stands.
        columns: Vec<usize>,
    },
    /// `.parquet`.
    Parquet {
        /// The file.
        path: PathBuf,
        /// The rows left.
        rows: Box<RowIter<'static>>,
        /// The columns asked for.
        columns: Vec<Column>,
        /// Rows read.
        line: u64,
    },
}

/// A column of a Parquet file.
pub(crate) struct Column {
    /// Where it stands.
    at: usize,
    /// Ticks a second, if the schema says that it holds timestamps.
    ticks: Option<i64>,
}

impl Table {
    /// Opens a file and finds its columns.
    ///
    /// # Errors
    /// Another kind of file, or one that cannot be read, or that lacks a column.
    pub(crate) fn open(path: &Path, columns: &[&str]) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io(path))?;
        let path = path.to_path_buf();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => {
                let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
                let header = reader.headers().map_err(unreadable(&path))?;
                let header: Vec<&str> = header.iter().collect();
                let columns = find(&path, &header, columns)?;
                Ok(Self::Csv {
                    path,
                    reader: Box::new(reader),
                    columns,
                })
            }
            Some("parquet") => {
                let reader = SerializedFileReader::new(file).map_err(unreadable(&path))?;
                let schema = reader.metadata().file_metadata().schema();
                let fields = schema.get_fields();
                let header: Vec<&str> = fields.iter().map(|field| field.name()).collect();
                let column = |at: usize| Column {
                    at,
                    ticks: ticks(&fields[at]),
                };
                let columns = find(&path, &header, columns)?;
                let columns = columns.into_iter().map(column).collect();
                let rows = Box::new(RowIter::from_file_into(Box::new(reader)));
                Ok(Self::Parquet {
                    path,
                    rows,
                    columns,
                    line: 0,
                })
            }
            _ => Err(Error::Description {
                path,
                reason: "neither .csv nor .parquet".to_owned(),
            }),
        }
    }

    /// Reads the next row and its line (of a CSV file) or number (of a Parquet file), both from 1.
    ///
    /// # Errors
    /// The rest of the file cannot be read: asked again, the reader would give the same error for ever.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Cells)>, Error> {
        match self {
            Self::Csv {
                path,
                reader,
                columns,
            } => {
                let mut record = csv::StringRecord::new();
                let line = reader.position().line();
                match reader.read_record(&mut record) {
                    Ok(false) => Ok(None),
                    Ok(true) => Ok(Some((
                        record.position().map_or(line, csv::Position::line),
                        csv_cells(&record, columns),
                    ))),
                    Err(e) if e.is_io_error() => Err(unreadable(path)(e)),
                    Err(e) => Ok(Some((line, Err(e.to_string())))),
                }
            }
            Self::Parquet {
                path,
                rows,
                columns,
                line,
            } => {
                *line += 1;
                match rows.next() {
                    None => Ok(None),
                    Some(Ok(row)) => Ok(Some((*line, parquet_cells(&row, columns)))),
                    Some(Err(e)) => Err(unreadable(path)(format!(
                        "row {line}: {e}; write the file with snappy or zstd compression"
                    ))),
                }
            }
        }
    }
}

fn unreadable<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> Error {
    let path: PathBuf = path.to_path_buf();
    move |e| Error::Description {
        path,
        reason: e.to_string(),
    }
}

fn find(path: &Path, header: &[&str], columns: &[&str]) -> Result<Vec<usize>, Error> {
    let find = |column: &&str| {
        header
            .iter()
            .position(|name| name == column)
            .ok_or_else(|| Error::Description {
                path: path.to_path_buf(),
                reason: format!("no column {column:?} among {header:?}"),
            })
    };
    columns.iter().map(find).collect()
}

fn csv_cells(record: &csv::StringRecord, columns: &[usize]) -> Cells {
    let cell = |&column: &usize| match record.get(column) {
        None => Err(format!(
            "{} fields, column {} is missing",
            record.len(),
            column + 1
        )),
        Some("") => Ok(None),
        Some(text) => Ok(Some(Cell::Text(text.to_owned()))),
    };
    columns.iter().map(cell).collect()
}

/// The unit of a column of timestamps. The reader itself turns no nanoseconds into timestamps.
fn ticks(field: &Type) -> Option<i64> {
    match field.get_basic_info().logical_type_ref()? {
        LogicalType::Timestamp(timestamp) => Some(match timestamp.unit {
            TimeUnit::MILLIS => 1_000,
            TimeUnit::MICROS => 1_000_000,
            TimeUnit::NANOS => 1_000_000_000,
        }),
        _ => None,
    }
}

fn parquet_cells(row: &Row, columns: &[Column]) -> Cells {
    let fields: Vec<&Field> = row.get_column_iter().map(|(_, field)| field).collect();
    let cell = |column: &Column| match fields[column.at] {
        Field::ListInternal(list) => {
            let values = list
                .elements()
                .iter()
                .filter_map(|field| scalar(field).transpose());
            values
                .collect::<Result<_, _>>()
                .map(|values| Some(Cell::List(values)))
        }
        field => match seconds(field, column.ticks) {
            Some(time) => Ok(Some(Cell::Time(time))),
            None => Ok(scalar(field)?.map(Cell::Text)),
        },
    };
    columns.iter().map(cell).collect()
}

/// The time that a field holds, if it holds one.
fn seconds(field: &Field, ticks: Option<i64>) -> Option<i64> {
    match (field, ticks) {
        (Field::TimestampMillis(time), _) => Some(time.div_euclid(1_000)),
        (Field::TimestampMicros(time), _) => Some(time.div_euclid(1_000_000)),
        (Field::Long(time), Some(ticks)) => Some(time.div_euclid(ticks)),
        _ => None,
    }
}

/// Writes a single value out; nothing for a null.
fn scalar(field: &Field) -> Result<Option<String>, String> {
    Ok(Some(match field {
        Field::Null => return Ok(None),
        Field::Str(text) => text.clone(),
        Field::TimestampMillis(time) => time.div_euclid(1_000).to_string(),
        Field::TimestampMicros(time) => time.div_euclid(1_000_000).to_string(),
        Field::Group(_) | Field::MapInternal(_) | Field::ListInternal(_) | Field::Bytes(_) => {
            return Err(format!(
                "{field} is neither text, number, time nor a list of them"
            ));
        }
        other => other.to_string(),
    }))
}
