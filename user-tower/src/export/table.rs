//! A Parquet file that is written row by row.

use std::{fs::File, path::Path, sync::Arc};

use anyhow::Context as _;
use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as Physical, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, FloatType, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::Type,
};

/// Rows of a group.
const GROUP: usize = 65_536;

/// The values of a column since the last group.
#[derive(Clone)]
pub(super) enum Column {
    /// Text.
    Text(Vec<ByteArray>),
    /// Text that may be missing.
    MaybeText(Vec<Option<ByteArray>>),
    /// An item's id: 64 bits without a sign.
    Id(Vec<i64>),
    /// A whole number.
    Number(Vec<i64>),
    /// A 32-bit float.
    Real(Vec<f32>),
}

/// A file that is being written.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: usize,
    writer: SerializedFileWriter<File>,
}

/// A row that is being filled, in the order of the columns; each method fills the next column, which is of its kind.
pub(super) struct Row<'a> {
    columns: std::slice::IterMut<'a, Column>,
}

impl Table {
    /// Creates a file with these empty columns, compressed by zstd.
    pub(super) fn create(path: &Path, columns: Vec<(&str, Column)>) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let fields = columns.iter().map(|(name, column)| column.schema(name));
        let schema = Type::group_type_builder("rows")
            .with_fields(fields.collect::<Result<_, _>>()?)
            .build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        Ok(Self {
            columns: columns.into_iter().map(|(_, column)| column).collect(),
            rows: 0,
            writer: SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?,
        })
    }

    /// Adds a row, which `fill` fills.
    pub(super) fn row(
        &mut self,
        fill: impl FnOnce(&mut Row<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let columns = self.columns.iter_mut();
        fill(&mut Row { columns })?;
        self.rows += 1;
        if self.rows == GROUP {
            self.end_group()?;
        }
        Ok(())
    }

    /// Writes what is left, and the file's end.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        if self.rows > 0 {
            self.end_group()?;
        }
        self.writer.finish()?;
        self.writer.inner().sync_all()?;
        Ok(())
    }

    fn end_group(&mut self) -> anyhow::Result<()> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            let mut writer = group.next_column()?.context("a column has no place")?;
            column.write(&mut writer)?;
            writer.close()?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

impl Row<'_> {
    pub(super) fn text(&mut self, value: &str) {
        if let Some(Column::Text(values)) = self.columns.next() {
            values.push(bytes(value));
        }
    }

    pub(super) fn maybe_text(&mut self, value: Option<&str>) {
        if let Some(Column::MaybeText(values)) = self.columns.next() {
            values.push(value.map(bytes));
        }
    }

    pub(super) fn id(&mut self, value: u64) {
        if let Some(Column::Id(values)) = self.columns.next() {
            // The format keeps a number without a sign as the signed one of the same bits.
            values.push(value as i64);
        }
    }

    pub(super) fn signed(&mut self, value: i64) {
        if let Some(Column::Number(values)) = self.columns.next() {
            values.push(value);
        }
    }

    pub(super) fn number(&mut self, value: u64) {
        self.signed(value as i64);
    }

    pub(super) fn real(&mut self, value: f32) {
        if let Some(Column::Real(values)) = self.columns.next() {
            values.push(value);
        }
    }
}

impl Column {
    fn schema(&self, name: &str) -> Result<Arc<Type>, ParquetError> {
        let (physical, logical) = match self {
            Self::Text(_) | Self::MaybeText(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Self::Id(_) => (Physical::INT64, Some(LogicalType::integer(64, false))),
            Self::Number(_) => (Physical::INT64, None),
            Self::Real(_) => (Physical::FLOAT, None),
        };
        let repetition = match self {
            Self::MaybeText(_) => Repetition::OPTIONAL,
            _ => Repetition::REQUIRED,
        };
        let field = Type::primitive_type_builder(name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .build()?;
        Ok(Arc::new(field))
    }

    fn write(&mut self, writer: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        match self {
            Self::Text(values) => {
                let writer = writer.typed::<ByteArrayType>();
                writer.write_batch(values, None, None)?;
                values.clear();
            }
            Self::MaybeText(values) => {
                let there: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
                let values: Vec<ByteArray> = std::mem::take(values).into_iter().flatten().collect();
                let writer = writer.typed::<ByteArrayType>();
                writer.write_batch(&values, Some(&there), None)?;
            }
            Self::Id(values) | Self::Number(values) => {
                writer
                    .typed::<Int64Type>()
                    .write_batch(values, None, None)?;
                values.clear();
            }
            Self::Real(values) => {
                writer
                    .typed::<FloatType>()
                    .write_batch(values, None, None)?;
                values.clear();
            }
        }
        Ok(())
    }
}

fn bytes(text: &str) -> ByteArray {
    ByteArray::from(text.as_bytes().to_vec())
}
