//! An item that is put together cell by cell.

use encoder::features::{CatalogItem, Value};
use generation::partition;

use crate::catalog::columns::{Kind, Role};

/// The content of a cell that is not empty.
pub(super) enum Cell<'a> {
    /// Text.
    Text(&'a str),
    /// A whole number.
    Whole(i128),
    /// Any number.
    Number(f64),
    /// Several texts.
    List(Vec<String>),
}

/// What is known of an item so far.
#[derive(Default)]
pub(super) struct Draft {
    id: Option<u64>,
    item: CatalogItem,
}

impl Draft {
    /// Takes the cell of a column.
    ///
    /// # Errors
    /// In words, if such a cell cannot stand there.
    pub(super) fn put(&mut self, role: &Role, cell: Cell<'_>) -> Result<(), String> {
        match role {
            Role::Id => self.id = Some(whole("id", cell)?),
            Role::Popularity => self.item.popularity = whole("popularity", cell)?,
            Role::Key => self.item.key = Some(text("key", cell)?),
            Role::Title => self.item.title = text("title", cell)?,
            Role::Feature(name, kind) => {
                let value = feature(name, kind, cell)?;
                self.item.features.insert(name.clone(), value);
            }
        }
        Ok(())
    }

    /// The item.
    ///
    /// # Errors
    /// In words, if it has no id, or another than its key makes.
    pub(super) fn finish(mut self) -> Result<CatalogItem, String> {
        self.item.id = id(self.id, self.item.key.as_deref())?;
        Ok(self.item)
    }
}

/// The id of an item with this id and this key.
///
/// # Errors
/// In words, if there is neither, or they contradict each other.
pub(super) fn id(id: Option<u64>, key: Option<&str>) -> Result<u64, String> {
    match (id, key.map(partition::item_id)) {
        (None, None) => Err("it has neither an id nor a key".to_owned()),
        (Some(id), Some(made)) if id != made => Err(format!(
            "item id {id} is not {made}, which the key {:?} makes",
            key.unwrap_or_default()
        )),
        (Some(id), _) | (None, Some(id)) => Ok(id),
    }
}

fn feature(name: &str, kind: &Kind, cell: Cell<'_>) -> Result<Value, String> {
    Ok(match (cell, kind) {
        (Cell::Text(text), Kind::Text) => text.into(),
        (Cell::Text(text), Kind::List(separator)) => {
            let values = text.split(separator.as_str());
            let values = values.filter(|value| !value.is_empty());
            Value::List(values.map(str::to_owned).collect())
        }
        (Cell::Text(text), Kind::Number) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => number.into(),
            _ => return Err(format!("{name} {text:?} is no finite number")),
        },
        (Cell::Whole(whole), _) => (whole as f64).into(),
        (Cell::Number(number), _) if number.is_finite() => number.into(),
        (Cell::Number(number), _) => return Err(format!("{name} {number} is no finite number")),
        (Cell::List(values), _) => values.into(),
    })
}

fn whole(what: &str, cell: Cell<'_>) -> Result<u64, String> {
    match cell {
        Cell::Text(text) => text
            .trim()
            .parse()
            .map_err(|_| format!("{what} {text:?} is no whole number, 0 to {}", u64::MAX)),
        Cell::Whole(whole) => u64::try_from(whole)
            .map_err(|_| format!("{what} {whole} is not between 0 and {}", u64::MAX)),
        Cell::Number(_) | Cell::List(_) => Err(format!("{what} is no whole number")),
    }
}

fn text(what: &str, cell: Cell<'_>) -> Result<String, String> {
    match cell {
        Cell::Text(text) => Ok(text.to_owned()),
        _ => Err(format!("{what} is no text")),
    }
}
