//! Columns of a Parquet file: filled row by row, written in groups of rows.

use std::{fs::File, path::Path, sync::Arc};

use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as Physical, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, FloatType, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::Type,
};

use crate::dataset::error::Error;

/// Rows of a group.
const GROUP: usize = 16_384;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// An item's id, unsigned 64 bits.
    Id,
    /// Seconds since the epoch.
    Time,
    /// 32-bit floats.
    Float,
}

/// How many values a row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arity {
    /// One.
    One,
    /// One, or none that is known.
    Optional,
    /// A list.
    List,
}

/// A column's name and what it holds.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) arity: Arity,
}

/// One column's values since the last group.
pub(super) struct Column {
    spec: Spec,
    values: Values,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

enum Values {
    Texts(Vec<ByteArray>),
    Integers(Vec<i64>),
    Floats(Vec<f32>),
}

/// A Parquet file that is being written.
pub(super) struct Table {
    /// In the order of the schema; each takes one [`Column::texts`] or the like a row.
    pub(super) columns: Vec<Column>,
    rows: usize,
    writer: SerializedFileWriter<File>,
}

impl Table {
    /// Creates a file with these columns, compressed by zstd.
    pub(super) fn create(path: &Path, specs: Vec<Spec>) -> Result<Self, Error> {
        let file = File::create(path).map_err(Error::io(path))?;
        let open = || {
            let fields = specs.iter().map(|spec| Ok(Arc::new(spec.schema()?)));
            let schema = Type::group_type_builder("samples")
                .with_fields(fields.collect::<Result<_, ParquetError>>()?)
                .build()?;
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .build();
            SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))
        };
        let writer = open().map_err(at(path))?;
        Ok(Self {
            columns: specs.into_iter().map(Column::new).collect(),
            rows: 0,
            writer,
        })
    }

    /// Says that every column has taken a row; writes the group once it is full.
    pub(super) fn end_row(&mut self, path: &Path) -> Result<(), Error> {
        self.rows += 1;
        match self.rows == GROUP {
            true => self.end_group().map_err(at(path)),
            false => Ok(()),
        }
    }

    /// Writes what is left, and the file's end.
    pub(super) fn close(mut self, path: &Path) -> Result<(), Error> {
        let mut end = || {
            if self.rows > 0 {
                self.end_group()?;
            }
            self.writer.finish()
        };
        end().map_err(at(path))?;
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            column.write(&mut group)?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

impl Spec {
    /// Describes a column.
    pub(super) fn new(name: impl Into<String>, kind: Kind, arity: Arity) -> Self {
        Self {
            name: name.into(),
            kind,
            arity,
        }
    }

    /// A list is a group of a repeated group of one element, as the format wants it.
    fn schema(&self) -> Result<Type, ParquetError> {
        if self.arity != Arity::List {
            let repetition = match self.arity {
                Arity::Optional => Repetition::OPTIONAL,
                _ => Repetition::REQUIRED,
            };
            return self.element(&self.name, repetition);
        }
        let element = self.element("element", Repetition::REQUIRED)?;
        let list = Type::group_type_builder("list")
            .with_repetition(Repetition::REPEATED)
            .with_fields(vec![Arc::new(element)])
            .build()?;
        Type::group_type_builder(&self.name)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(Some(LogicalType::List))
            .with_fields(vec![Arc::new(list)])
            .build()
    }

    fn element(&self, name: &str, repetition: Repetition) -> Result<Type, ParquetError> {
        let (physical, logical) = match self.kind {
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Id => (Physical::INT64, Some(LogicalType::integer(64, false))),
            Kind::Time => (Physical::INT64, None),
            Kind::Float => (Physical::FLOAT, None),
        };
        Type::primitive_type_builder(name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .build()
    }
}

impl Column {
    fn new(spec: Spec) -> Self {
        Self {
            values: match spec.kind {
                Kind::Text => Values::Texts(Vec::new()),
                Kind::Id | Kind::Time => Values::Integers(Vec::new()),
                Kind::Float => Values::Floats(Vec::new()),
            },
            spec,
            definitions: Vec::new(),
            repetitions: Vec::new(),
        }
    }

    /// Takes a row of a text column.
    pub(super) fn texts<'a>(&mut self, row: impl IntoIterator<Item = &'a str>) {
        if let Values::Texts(values) = &mut self.values {
            let before = values.len();
            values.extend(
                row.into_iter()
                    .map(|text| ByteArray::from(text.as_bytes().to_vec())),
            );
            let taken = values.len() - before;
            self.levels(taken);
        }
    }

    /// Takes a row of a column of ids.
    pub(super) fn ids(&mut self, row: impl IntoIterator<Item = u64>) {
        // The format keeps an unsigned number as the signed one of the same bits.
        self.times(row.into_iter().map(|id| id as i64));
    }

    /// Takes a row of a column of times.
    pub(super) fn times(&mut self, row: impl IntoIterator<Item = i64>) {
        if let Values::Integers(values) = &mut self.values {
            let before = values.len();
            values.extend(row);
            let taken = values.len() - before;
            self.levels(taken);
        }
    }

    /// Takes a row of a column of floats.
    pub(super) fn floats(&mut self, row: impl IntoIterator<Item = f32>) {
        if let Values::Floats(values) = &mut self.values {
            let before = values.len();
            values.extend(row);
            let taken = values.len() - before;
            self.levels(taken);
        }
    }

    /// Notes that the row has `values` values.
    fn levels(&mut self, values: usize) {
        if self.spec.arity == Arity::One {
            return;
        }
        self.definitions.push(i16::from(values > 0));
        self.definitions
            .extend(std::iter::repeat_n(1, values.saturating_sub(1)));
        self.repetitions.push(0);
        self.repetitions
            .extend(std::iter::repeat_n(1, values.saturating_sub(1)));
    }

    fn write(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, File>,
    ) -> Result<(), ParquetError> {
        let missing = || ParquetError::General(format!("no column {}", self.spec.name));
        let mut column = group.next_column()?.ok_or_else(missing)?;
        let definitions = (self.spec.arity != Arity::One).then_some(self.definitions.as_slice());
        let repetitions = (self.spec.arity == Arity::List).then_some(self.repetitions.as_slice());
        match &mut self.values {
            Values::Texts(values) => {
                let typed = column.typed::<ByteArrayType>();
                typed.write_batch(values, definitions, repetitions)?;
                values.clear();
            }
            Values::Integers(values) => {
                let typed = column.typed::<Int64Type>();
                typed.write_batch(values, definitions, repetitions)?;
                values.clear();
            }
            Values::Floats(values) => {
                let typed = column.typed::<FloatType>();
                typed.write_batch(values, definitions, repetitions)?;
                values.clear();
            }
        }
        column.close()?;
        self.definitions.clear();
        self.repetitions.clear();
        Ok(())
    }
}

fn at(path: &Path) -> impl FnOnce(ParquetError) -> Error {
    let path = path.to_path_buf();
    move |cause| Error::Io {
        path,
        source: std::io::Error::other(cause),
    }
}
