//! Writes small Parquet files for tests.

use std::{fs::File, path::Path, sync::Arc};

use parquet::{
    data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type},
    file::{metadata::KeyValue, properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

/// A column's cells.
pub(crate) enum Cells {
    Ids(Vec<u64>),
    Signed(Vec<i64>),
    Times(Vec<i64>),
    Truths(Vec<bool>),
    Whole(Vec<Option<i64>>),
    Numbers(Vec<Option<f64>>),
    Texts(Vec<Option<String>>),
    Lists(Vec<Vec<String>>),
    Vectors(Vec<Vec<f32>>),
}

/// Writes the columns into groups of `group` rows, with pairs of text in the footer.
pub(crate) fn write(path: &Path, columns: &[(&str, Cells)], footer: &[(&str, &str)], group: usize) {
    let fields: String = columns
        .iter()
        .map(|(name, cells)| cells.schema(name))
        .collect();
    let schema = parse_message_type(&format!("message items {{ {fields} }}")).unwrap();
    let pairs = footer
        .iter()
        .map(|(key, value)| KeyValue::new((*key).to_owned(), (*value).to_owned()));
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(pairs.collect()))
        .build();
    let file = File::create(path).unwrap();
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).unwrap();
    let rows = columns.first().map_or(0, |(_, cells)| cells.len());
    for first in (0..rows).step_by(group) {
        let mut rows_group = writer.next_row_group().unwrap();
        for (_, cells) in columns {
            let range = first..rows.min(first + group);
            let mut column = rows_group.next_column().unwrap().unwrap();
            match cells {
                Cells::Ids(ids) => {
                    let values: Vec<i64> = ids[range].iter().map(|id| *id as i64).collect();
                    column.typed::<Int64Type>().write_batch(&values, None, None)
                }
                Cells::Signed(values) | Cells::Times(values) => column
                    .typed::<Int64Type>()
                    .write_batch(&values[range], None, None),
                Cells::Truths(values) => {
                    column
                        .typed::<BoolType>()
                        .write_batch(&values[range], None, None)
                }
                Cells::Whole(cells) => {
                    let (values, levels) = optional(&cells[range], |value| *value);
                    column
                        .typed::<Int64Type>()
                        .write_batch(&values, Some(&levels), None)
                }
                Cells::Numbers(cells) => {
                    let (values, levels) = optional(&cells[range], |value| *value);
                    column
                        .typed::<DoubleType>()
                        .write_batch(&values, Some(&levels), None)
                }
                Cells::Texts(cells) => {
                    let (values, levels) = optional(&cells[range], |text: &String| {
                        ByteArray::from(text.as_bytes().to_vec())
                    });
                    column
                        .typed::<ByteArrayType>()
                        .write_batch(&values, Some(&levels), None)
                }
                Cells::Lists(lists) => {
                    let (values, definitions, repetitions) = lists_of(&lists[range], |text| {
                        ByteArray::from(text.as_bytes().to_vec())
                    });
                    column.typed::<ByteArrayType>().write_batch(
                        &values,
                        Some(&definitions),
                        Some(&repetitions),
                    )
                }
                Cells::Vectors(lists) => {
                    let (values, definitions, repetitions) =
                        lists_of(&lists[range], |value| *value);
                    column.typed::<FloatType>().write_batch(
                        &values,
                        Some(&definitions),
                        Some(&repetitions),
                    )
                }
            }
            .unwrap();
            column.close().unwrap();
        }
        rows_group.close().unwrap();
    }
    writer.close().unwrap();
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Self::Ids(cells) => cells.len(),
            Self::Signed(cells) | Self::Times(cells) => cells.len(),
            Self::Truths(cells) => cells.len(),
            Self::Whole(cells) => cells.len(),
            Self::Numbers(cells) => cells.len(),
            Self::Texts(cells) => cells.len(),
            Self::Lists(cells) => cells.len(),
            Self::Vectors(cells) => cells.len(),
        }
    }

    fn schema(&self, name: &str) -> String {
        let list = |element| {
            format!("required group {name} (LIST) {{ repeated group list {{ required {element} element; }} }} ")
                .replace("binary element;", "binary element (UTF8);")
        };
        match self {
            Self::Ids(_) => format!("required int64 {name} (INTEGER(64,false)); "),
            Self::Signed(_) => format!("required int64 {name}; "),
            Self::Times(_) => format!("required int64 {name} (TIMESTAMP(MILLIS,true)); "),
            Self::Truths(_) => format!("required boolean {name}; "),
            Self::Whole(_) => format!("optional int64 {name}; "),
            Self::Numbers(_) => format!("optional double {name}; "),
            Self::Texts(_) => format!("optional binary {name} (UTF8); "),
            Self::Lists(_) => list("binary"),
            Self::Vectors(_) => list("float"),
        }
    }
}

fn optional<T, V>(cells: &[Option<T>], value: impl Fn(&T) -> V) -> (Vec<V>, Vec<i16>) {
    let levels = cells.iter().map(|cell| i16::from(cell.is_some()));
    (
        cells.iter().flatten().map(value).collect(),
        levels.collect(),
    )
}

fn lists_of<T, V>(lists: &[Vec<T>], value: impl Fn(&T) -> V) -> (Vec<V>, Vec<i16>, Vec<i16>) {
    let (mut definitions, mut repetitions) = (Vec::new(), Vec::new());
    for list in lists {
        definitions.push(i16::from(!list.is_empty()));
        repetitions.push(0);
        for _ in list.iter().skip(1) {
            definitions.push(1);
            repetitions.push(1);
        }
    }
    (
        lists.iter().flatten().map(value).collect(),
        definitions,
        repetitions,
    )
}
