//! Some columns of a CSV or Parquet file, row by row.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row, reader::RowIter},
};

use crate::dataset::error::Error;

/// The content of a cell that is not empty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// Text, or a number or time (in seconds) written out.
    Text(String),
    /// A list of Parquet.
    List(Vec<String>),
}

/// A row's cells, one for each column asked for, or what is wrong with the row.
type Cells = Result<Vec<Option<Cell>>, String>;

/// A file opened for reading.
pub(crate) enum Table {
    /// `.csv`, with a header.
    Csv {
        /// The rows left.
        reader: Box<csv::Reader<File>>,
        /// Where each column asked for stands.
        columns: Vec<usize>,
    },
    /// `.parquet`.
    Parquet {
        /// The rows left.
        rows: Box<RowIter<'static>>,
        /// Where each column asked for stands.
        columns: Vec<usize>,
        /// Rows read.
        line: u64,
    },
}

impl Table {
    /// Opens a file and finds its columns.
    ///
    /// # Errors
    /// Another kind of file, or one that cannot be read, or that lacks a column.
    pub(crate) fn open(path: &Path, columns: &[&str]) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io(path))?;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => {
                let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
                let header = reader.headers().map_err(unreadable(path))?;
                let header: Vec<&str> = header.iter().collect();
                let columns = find(path, &header, columns)?;
                let reader = Box::new(reader);
                Ok(Self::Csv { reader, columns })
            }
            Some("parquet") => {
                let reader = SerializedFileReader::new(file).map_err(unreadable(path))?;
                let schema = reader.metadata().file_metadata().schema();
                let header: Vec<&str> = schema
                    .get_fields()
                    .iter()
                    .map(|field| field.name())
                    .collect();
                let columns = find(path, &header, columns)?;
                let rows = Box::new(RowIter::from_file_into(Box::new(reader)));
                Ok(Self::Parquet {
                    rows,
                    columns,
                    line: 0,
                })
            }
            _ => Err(Error::Description {
                path: path.to_path_buf(),
                reason: "neither .csv nor .parquet".to_owned(),
            }),
        }
    }

    /// Reads the next row and its line (of a CSV file) or number (of a Parquet file), both from 1.
    pub(crate) fn next(&mut self) -> Option<(u64, Cells)> {
        match self {
            Self::Csv { reader, columns } => {
                let mut record = csv::StringRecord::new();
                let line = reader.position().line();
                match reader.read_record(&mut record) {
                    Ok(false) => None,
                    Ok(true) => Some((
                        record.position().map_or(line, csv::Position::line),
                        csv_cells(&record, columns),
                    )),
                    Err(e) => Some((line, Err(e.to_string()))),
                }
            }
            Self::Parquet {
                rows,
                columns,
                line,
            } => {
                *line += 1;
                let row = rows.next()?;
                Some((
                    *line,
                    row.map_err(|e| e.to_string())
                        .and_then(|row| parquet_cells(&row, columns)),
                ))
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

fn parquet_cells(row: &Row, columns: &[usize]) -> Cells {
    let fields: Vec<&Field> = row.get_column_iter().map(|(_, field)| field).collect();
    let cell = |&column: &usize| match fields[column] {
        Field::ListInternal(list) => {
            let values = list
                .elements()
                .iter()
                .filter_map(|field| scalar(field).transpose());
            values
                .collect::<Result<_, _>>()
                .map(|values| Some(Cell::List(values)))
        }
        field => Ok(scalar(field)?.map(Cell::Text)),
    };
    columns.iter().map(cell).collect()
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
