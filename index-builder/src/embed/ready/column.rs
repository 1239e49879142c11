//! Reads a column of numbers, or of lists of them, a few rows at a time.

use std::fs::File;

use parquet::{
    basic::{ConvertedType, Type as Physical},
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{DataType, FloatType, Int64Type},
    errors::ParquetError,
    file::{
        metadata::ParquetMetaData,
        reader::{FileReader as _, SerializedFileReader},
    },
    schema::types::ColumnDescriptor,
};

/// A column without columns below it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    pub(super) at: usize,
    /// The level of definition of a value that is there.
    pub(super) defined: i16,
    /// Whether its numbers are unsigned.
    pub(super) unsigned: bool,
}

/// The columns of a group of rows.
pub(super) struct Columns {
    pub(super) id: ColumnReaderImpl<Int64Type>,
    pub(super) vector: ColumnReaderImpl<FloatType>,
    /// Rows that are not read yet.
    pub(super) left: u64,
}

/// Finds the column `name` of values of this type, in lists as deep as said.
pub(super) fn leaf(
    metadata: &ParquetMetaData,
    name: &str,
    physical: Physical,
    lists: i16,
) -> Result<Leaf, String> {
    let columns = metadata.file_metadata().schema_descr().columns();
    let is = |column: &ColumnDescriptor| {
        column
            .path()
            .parts()
            .first()
            .is_some_and(|part| part == name)
    };
    let Some(at) = columns.iter().position(|column| is(column)) else {
        return Err(format!("it has no column {name}"));
    };
    let column = &columns[at];
    let expected = (physical, lists);
    let found = (column.physical_type(), column.max_rep_level());
    if found != expected {
        let words = |(physical, lists): (Physical, i16)| format!("{physical} in {lists} lists");
        return Err(format!(
            "column {name} is {}, expected {}",
            words(found),
            words(expected)
        ));
    }
    Ok(Leaf {
        at,
        defined: column.max_def_level(),
        unsigned: column.converted_type() == ConvertedType::UINT_64,
    })
}

impl Columns {
    /// Opens a group.
    pub(super) fn open(
        reader: &SerializedFileReader<File>,
        group: usize,
        id: usize,
        vector: usize,
    ) -> Result<Self, ParquetError> {
        let group = reader.get_row_group(group)?;
        match (
            group.get_column_reader(id)?,
            group.get_column_reader(vector)?,
        ) {
            (ColumnReader::Int64ColumnReader(id), ColumnReader::FloatColumnReader(vector)) => {
                Ok(Self {
                    id,
                    vector,
                    left: u64::try_from(group.metadata().num_rows()).unwrap_or_default(),
                })
            }
            _ => Err(ParquetError::General(
                "its groups have other columns than its footer says".to_owned(),
            )),
        }
    }
}

/// What was read of a column.
pub(super) struct Values<T> {
    pub(super) values: Vec<T>,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    records: usize,
}

impl<T> Values<T> {
    /// How many rows.
    pub(super) fn rows(&self) -> usize {
        self.records
    }

    /// Whether the value of a row of a column that is no list is there.
    pub(super) fn is_defined(&self, row: usize, defined: i16) -> bool {
        self.definitions
            .get(row)
            .is_none_or(|level| *level == defined)
    }

    /// How many values the list of each row has; 0 if one of them is null.
    pub(super) fn lengths(&self, defined: i16) -> Vec<usize> {
        let mut lengths: Vec<Option<usize>> = Vec::new();
        for (repetition, definition) in self.repetitions.iter().zip(&self.definitions) {
            if *repetition == 0 {
                lengths.push(Some(0));
            }
            if let Some(length) = lengths.last_mut() {
                *length = length
                    .filter(|_| *definition == defined)
                    .map(|length| length + 1);
            }
        }
        let lengths = lengths.into_iter();
        lengths.map(Option::unwrap_or_default).collect()
    }
}

/// Reads the next `rows` rows of a column, or all that are left.
pub(super) fn read<T: DataType>(
    column: &mut ColumnReaderImpl<T>,
    rows: usize,
) -> Result<Values<T::T>, ParquetError> {
    let mut read = Values {
        values: Vec::new(),
        definitions: Vec::new(),
        repetitions: Vec::new(),
        records: 0,
    };
    while read.records < rows {
        let (records, ..) = column.read_records(
            rows - read.records,
            Some(&mut read.definitions),
            Some(&mut read.repetitions),
            &mut read.values,
        )?;
        if records == 0 {
            break;
        }
        read.records += records;
    }
    Ok(read)
}
