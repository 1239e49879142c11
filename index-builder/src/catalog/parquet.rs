//! Reads a catalog of typed columns.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use encoder::features::CatalogItem;
use parquet::{
    basic::{ConvertedType, LogicalType, Repetition, Type as Physical},
    file::reader::{FileReader as _, SerializedFileReader},
    record::{Field, Row, reader::RowIter},
    schema::types::Type,
};

use crate::{
    catalog::{
        columns::{Columns, Kind, Role},
        draft::{Cell, Draft},
        guard::guard,
        refused, unreadable,
    },
    error::Error,
};

/// The rows of a file.
pub(crate) struct Rows {
    path: PathBuf,
    rows: RowIter<'static>,
    roles: Vec<Role>,
    row: Option<Row>,
    read: u64,
    count: u64,
}

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Text,
    Whole,
    Number,
    List,
}

impl Rows {
    /// Opens the file before its first row.
    pub(super) fn open(path: &Path, columns: &Columns) -> Result<Self, Error> {
        let file = File::open(path).map_err(unreadable(path))?;
        let reader = guard(|| SerializedFileReader::new(file)).map_err(refused(path))?;
        let metadata = reader.metadata().file_metadata();
        let count = u64::try_from(metadata.num_rows()).unwrap_or_default();
        let fields = metadata.schema().get_fields();
        let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
        let roles = columns.roles(&names).map_err(refused(path))?;
        for (field, role) in fields.iter().zip(&roles) {
            check(field, role).map_err(refused(path))?;
        }
        let open = || Ok::<_, String>(RowIter::from_file_into(Box::new(reader)));
        Ok(Self {
            path: path.to_owned(),
            rows: guard(open).map_err(refused(path))?,
            roles,
            row: None,
            read: 0,
            count,
        })
    }

    /// Goes to the next row and returns its number, from 1.
    pub(super) fn advance(&mut self) -> Result<Option<u64>, Error> {
        let number = self.read + 1;
        self.row = guard(|| self.rows.next().transpose()).map_err(|cause| {
            let hint = "write the file with snappy or zstd compression, or none";
            refused(&self.path)(format!("row {number}: {cause}; {hint}"))
        })?;
        if self.row.is_none() {
            return Ok(None);
        }
        self.read = number;
        Ok(Some(number))
    }

    /// Makes an item of the row.
    pub(super) fn item(&self) -> Result<CatalogItem, String> {
        let mut draft = Draft::default();
        let cells = self.row.iter().flat_map(Row::get_column_iter);
        for (role, (name, field)) in self.roles.iter().zip(cells) {
            if let Some(cell) = cell(name, field)? {
                draft.put(role, cell)?;
            }
        }
        draft.finish()
    }

    /// Rows read, and all.
    pub(super) fn read(&self) -> (u64, u64) {
        (self.read, self.count)
    }
}

/// What stands in a cell, if anything does.
fn cell<'a>(name: &str, field: &'a Field) -> Result<Option<Cell<'a>>, String> {
    Ok(Some(match field {
        Field::Null => return Ok(None),
        Field::Str(text) if text.is_empty() => return Ok(None),
        Field::Str(text) => Cell::Text(text),
        Field::Byte(whole) => Cell::Whole((*whole).into()),
        Field::Short(whole) => Cell::Whole((*whole).into()),
        Field::Int(whole) => Cell::Whole((*whole).into()),
        Field::Long(whole) => Cell::Whole((*whole).into()),
        Field::UByte(whole) => Cell::Whole((*whole).into()),
        Field::UShort(whole) => Cell::Whole((*whole).into()),
        Field::UInt(whole) => Cell::Whole((*whole).into()),
        Field::ULong(whole) => Cell::Whole((*whole).into()),
        Field::Float(number) => Cell::Number((*number).into()),
        Field::Double(number) => Cell::Number(*number),
        Field::ListInternal(list) => {
            let texts = list.elements().iter().filter_map(|element| match element {
                Field::Str(text) if !text.is_empty() => Some(text.clone()),
                _ => None,
            });
            Cell::List(texts.collect())
        }
        other => {
            return Err(format!(
                "{name} {other} is neither text, number nor a list of texts"
            ));
        }
    }))
}

/// Refuses a column whose type its role cannot take.
fn check(field: &Type, role: &Role) -> Result<(), String> {
    let name = field.name();
    let found = content(field)?;
    let expected: &[Content] = match role {
        Role::Id | Role::Popularity => &[Content::Whole],
        Role::Key | Role::Title => &[Content::Text],
        Role::Feature(_, Kind::Text) => return Ok(()),
        Role::Feature(_, Kind::Number) => &[Content::Text, Content::Whole, Content::Number],
        Role::Feature(_, Kind::List(_)) => &[Content::Text, Content::List],
    };
    match expected.contains(&found) {
        true => Ok(()),
        false => Err(format!(
            "column {name:?} holds {}, expected {}",
            found.words(),
            expected.last().map_or("", |content| content.words())
        )),
    }
}

/// What a column's type says that it holds.
fn content(field: &Type) -> Result<Content, String> {
    let info = field.get_basic_info();
    let (logical, converted) = (info.logical_type_ref(), info.converted_type());
    let plain_number = matches!(logical, None | Some(LogicalType::Integer(_)))
        && !matches!(
            converted,
            ConvertedType::DECIMAL
                | ConvertedType::DATE
                | ConvertedType::TIME_MILLIS
                | ConvertedType::TIME_MICROS
                | ConvertedType::TIMESTAMP_MILLIS
                | ConvertedType::TIMESTAMP_MICROS
        );
    let repeated = info.has_repetition() && info.repetition() == Repetition::REPEATED;
    if field.is_primitive() && !repeated {
        match field.get_physical_type() {
            Physical::BYTE_ARRAY if is_text(field) => return Ok(Content::Text),
            Physical::INT32 | Physical::INT64 if plain_number => return Ok(Content::Whole),
            Physical::FLOAT | Physical::DOUBLE if plain_number => return Ok(Content::Number),
            _ => {}
        }
    } else if converted == ConvertedType::LIST && !repeated && is_list_of_texts(field) {
        return Ok(Content::List);
    }
    let physical = match field.is_primitive() {
        true => field.get_physical_type().to_string(),
        false => "a group".to_owned(),
    };
    Err(format!(
        "column {:?} is {physical} ({converted}), no feature: texts, numbers and lists of texts are",
        field.name()
    ))
}

fn is_text(field: &Type) -> bool {
    let converted = field.get_basic_info().converted_type();
    field.get_physical_type() == Physical::BYTE_ARRAY
        && matches!(converted, ConvertedType::UTF8 | ConvertedType::ENUM)
}

/// Whether it is a group of a repeated group of one text, as the format wants a list.
fn is_list_of_texts(field: &Type) -> bool {
    let [repeated] = field.get_fields() else {
        return false;
    };
    if repeated.is_primitive() {
        return is_text(repeated);
    }
    match repeated.get_fields() {
        [element] => element.is_primitive() && is_text(element),
        _ => false,
    }
}

impl Content {
    fn words(self) -> &'static str {
        match self {
            Self::Text => "texts",
            Self::Whole => "whole numbers",
            Self::Number => "numbers",
            Self::List => "lists of texts",
        }
    }
}
