//! Reads anybody's dataset: three CSV or Parquet files, and a `dataset.toml` that names their columns.
//!
//! ```toml
//! name = "films"
//!
//! [users]
//! file = "users.csv"
//! id = "user"
//! features = { country = "text", age = "number" }
//!
//! [items]
//! file = "items.parquet"
//! id = "sku"                   # whole numbers are kept; anything else becomes the item's key, and its hash the id
//! title = "title"              # may be left out
//! features = { tags = { list = "|" }, price = "number" }
//!
//! [events]
//! file = "events.csv"
//! user = "user"
//! item = "sku"
//! time = "seen_at"
//! time_unit = "seconds"        # or "milliseconds" or "nanoseconds"; seconds unless said
//! rating = "stars"             # 1 for every event if left out
//! kind = "watch"               # what the events are called; "event" unless said
//! ```
//! A feature carries the name of its column. An empty cell is a missing value. A column of Parquet timestamps says its
//! unit itself, so `time_unit` does not apply to it.

mod table;

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fs,
    ops::Range,
    path::Path,
};

use encoder::features::{CatalogItem, Features, Value};
use serde::Deserialize;

use crate::dataset::{
    Dataset, EventRecord, UserRecord,
    bad_lines::BadLines,
    error::Error,
    import::table::{Cell, Table},
};

/// How to read.
#[derive(Debug, Clone)]
pub struct Options {
    /// The share of lines that may be unusable, 0 to 1.
    pub bad_lines: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { bad_lines: 0.01 }
    }
}

/// `dataset.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    name: String,
    users: Users,
    items: Items,
    events: Events,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Users {
    file: String,
    id: String,
    #[serde(default)]
    features: BTreeMap<String, Kind>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Items {
    file: String,
    id: String,
    title: Option<String>,
    #[serde(default)]
    features: BTreeMap<String, Kind>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Events {
    file: String,
    user: String,
    item: String,
    time: String,
    #[serde(default)]
    time_unit: TimeUnit,
    rating: Option<String>,
    #[serde(default = "event")]
    kind: String,
}

/// How a feature's cells are read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Text,
    Number,
    /// The separator within a cell.
    List(String),
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TimeUnit {
    #[default]
    Seconds,
    Milliseconds,
    Nanoseconds,
}

/// The times that an event may have: the years 1900 to 2200, in seconds.
const PLAUSIBLE: Range<i64> = -2_208_988_800..7_289_654_400;

fn event() -> String {
    "event".to_owned()
}

/// Reads the dataset that `dir/dataset.toml` describes.
///
/// # Errors
/// A description that cannot be understood, a file or column that is not there, more bad lines than allowed, or nothing left.
pub fn read(dir: &Path, options: &Options) -> Result<Dataset, Error> {
    let path = dir.join("dataset.toml");
    let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
    let description: Description = toml::from_str(&text).map_err(|e| Error::Description {
        path,
        reason: e.to_string(),
    })?;
    let mut reader = Reader {
        dir,
        bad: BadLines::default(),
        lines: 0,
    };
    let (users, user_index) = reader.users(&description.users)?;
    let (items, item_index) = reader.items(&description.items)?;
    let events = reader.events(&description.events, &user_index, &item_index)?;
    reader.bad.check(reader.lines, options.bad_lines)?;
    for (what, len) in [
        ("users", users.len()),
        ("items", items.len()),
        ("events", events.len()),
    ] {
        if len == 0 {
            let path = dir.to_path_buf();
            return Err(Error::Empty { path, what });
        }
    }
    let kinds = vec![description.events.kind];
    Ok(Dataset::new(
        description.name,
        users,
        items,
        kinds,
        events,
        reader.bad,
    ))
}

struct Reader<'a> {
    dir: &'a Path,
    bad: BadLines,
    lines: u64,
}

type Index = HashMap<String, u32>;

impl Reader<'_> {
    fn users(&mut self, users: &Users) -> Result<(Vec<UserRecord>, Index), Error> {
        let columns = columns([&users.id], &users.features);
        let mut index = Index::new();
        let records = self.rows(&users.file, &columns, |_, cells| {
            let id = text("id", &cells[0])?;
            let features = features(&users.features, &cells[1..])?;
            number_off(&mut index, &id)?;
            Ok(UserRecord { id, features })
        })?;
        Ok((records, index))
    }

    fn items(&mut self, items: &Items) -> Result<(Vec<CatalogItem>, Index), Error> {
        // Without a title column, the id is read twice and becomes the title.
        let title = items.title.as_ref().unwrap_or(&items.id);
        let columns = columns([&items.id, title], &items.features);
        let mut index = Index::new();
        let mut ids = HashMap::new();
        let records = self.rows(&items.file, &columns, |_, cells| {
            let key = text("id", &cells[0])?;
            let features = features(&items.features, &cells[2..])?;
            number_off(&mut index, &key)?;
            let (id, key) = match key.parse() {
                Ok(id) => (id, None),
                Err(_) => (generation::partition::item_id(&key), Some(key)),
            };
            if let Some(other) = ids.insert(id, key.clone()) {
                return Err(format!("items {key:?} and {other:?} both have the id {id}"));
            }
            Ok(CatalogItem {
                id,
                key,
                title: text("title", &cells[1]).unwrap_or_default(),
                popularity: 0,
                features,
            })
        })?;
        Ok((records, index))
    }

    fn events(
        &mut self,
        events: &Events,
        users: &Index,
        items: &Index,
    ) -> Result<Vec<EventRecord>, Error> {
        let mut columns = vec![events.user.as_str(), &events.item, &events.time];
        columns.extend(events.rating.as_deref());
        self.rows(&events.file, &columns, |line, cells| {
            let user = text("user", &cells[0])?;
            let item = text("item", &cells[1])?;
            let value = match cells.get(3) {
                Some(cell) => number("rating", cell)? as f32,
                None => 1.0,
            };
            Ok(EventRecord {
                user: *users
                    .get(&user)
                    .ok_or_else(|| format!("user {user:?} is not among the users"))?,
                item: *items
                    .get(&item)
                    .ok_or_else(|| format!("item {item:?} is not among the items"))?,
                kind: 0,
                value,
                time: time(&cells[2], events.time_unit)?,
                event_id: line,
            })
        })
    }

    /// Reads the columns of a table row by row; a row that `parse` refuses is counted as bad.
    fn rows<T>(
        &mut self,
        file: &str,
        columns: &[&str],
        mut parse: impl FnMut(u64, &[Option<Cell>]) -> Result<T, String>,
    ) -> Result<Vec<T>, Error> {
        let mut records = Vec::new();
        let mut table = Table::open(&self.dir.join(file), columns)?;
        while let Some((line, row)) = table.next()? {
            self.lines += 1;
            match row.and_then(|cells| parse(line, &cells)) {
                Ok(record) => records.push(record),
                Err(reason) => self.bad.push(file, line, reason),
            }
        }
        Ok(records)
    }
}

fn columns<'a, const N: usize>(
    first: [&'a String; N],
    features: &'a BTreeMap<String, Kind>,
) -> Vec<&'a str> {
    first
        .into_iter()
        .chain(features.keys())
        .map(String::as_str)
        .collect()
}

/// Gives a new id the next index.
fn number_off(index: &mut Index, id: &str) -> Result<(), String> {
    let next = index.len() as u32;
    match index.entry(id.to_owned()) {
        Entry::Vacant(entry) => {
            entry.insert(next);
            Ok(())
        }
        Entry::Occupied(_) => Err(format!("id {id:?} a second time")),
    }
}

fn features(kinds: &BTreeMap<String, Kind>, cells: &[Option<Cell>]) -> Result<Features, String> {
    let mut features = Features::new();
    for ((name, kind), cell) in kinds.iter().zip(cells) {
        let value = match (kind, cell) {
            (_, None) => continue,
            (Kind::List(_), Some(Cell::List(values))) => Value::List(values.clone()),
            (Kind::List(separator), _) => {
                let text = text(name, cell)?;
                let values = text
                    .split(separator.as_str())
                    .filter(|value| !value.is_empty());
                Value::List(values.map(str::to_owned).collect())
            }
            (Kind::Number, _) => Value::Number(number(name, cell)?),
            (Kind::Text, _) => Value::Text(text(name, cell)?),
        };
        features.insert(name.clone(), value);
    }
    Ok(features)
}

fn text(what: &str, cell: &Option<Cell>) -> Result<String, String> {
    match cell {
        Some(Cell::Text(text)) => Ok(text.clone()),
        Some(Cell::Time(seconds)) => Ok(seconds.to_string()),
        Some(Cell::List(_)) => Err(format!("{what} is a list")),
        None => Err(format!("no {what}")),
    }
}

fn number(what: &str, cell: &Option<Cell>) -> Result<f64, String> {
    let text = text(what, cell)?;
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(format!("{what} {text:?} is no finite number")),
    }
}

fn time(cell: &Option<Cell>, unit: TimeUnit) -> Result<i64, String> {
    let seconds = match cell {
        Some(Cell::Time(seconds)) => *seconds,
        _ => in_seconds(cell, unit)?,
    };
    if PLAUSIBLE.contains(&seconds) {
        Ok(seconds)
    } else {
        Err(format!(
            "time {seconds} (in seconds) is outside the years 1900 to 2200: see time_unit"
        ))
    }
}

fn in_seconds(cell: &Option<Cell>, unit: TimeUnit) -> Result<i64, String> {
    let ticks = match unit {
        TimeUnit::Seconds => 1,
        TimeUnit::Milliseconds => 1_000,
        TimeUnit::Nanoseconds => 1_000_000_000,
    };
    // A whole number of nanoseconds has more digits than an f64 holds.
    match text("time", cell)?.trim().parse::<i64>() {
        Ok(time) => Ok(time.div_euclid(ticks)),
        Err(_) => Ok((number("time", cell)? / ticks as f64).floor() as i64),
    }
}

#[cfg(test)]
mod tests;
