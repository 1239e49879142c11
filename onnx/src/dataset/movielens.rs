//! Reads raw MovieLens-1M: `users.dat`, `movies.dat` and `ratings.dat`, Latin-1 with `::` between fields.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::Display,
    fs,
    hash::Hash,
    path::Path,
};

use encoder::features::{CatalogItem, Features, Value};

use crate::dataset::{Dataset, EventRecord, UserRecord, bad_lines::BadLines, error::Error};

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

/// Reads the directory of the unpacked zip file.
///
/// Users have gender, age, occupation and zip as text; items have `genres` and, from the title, `year`.
/// A rating of an unknown user or movie is a bad line.
///
/// # Errors
/// A file that cannot be read, more bad lines than allowed, or nothing left.
pub fn read(dir: &Path, options: &Options) -> Result<Dataset, Error> {
    let mut bad = BadLines::default();
    let mut lines = 0;
    let mut user_index = HashMap::new();
    let user = |fields: &[&str]| {
        let user = user(fields)?;
        number_off(&mut user_index, user.id.clone())?;
        Ok(user)
    };
    let users = parse(dir, "users.dat", user, &mut bad, &mut lines)?;
    let mut item_index = HashMap::new();
    let item = |fields: &[&str]| {
        let item = item(fields)?;
        number_off(&mut item_index, item.id)?;
        Ok(item)
    };
    let items = parse(dir, "movies.dat", item, &mut bad, &mut lines)?;
    let mut event_id = 0;
    let rating = |fields: &[&str]| {
        event_id += 1;
        rating(fields, event_id, &user_index, &item_index)
    };
    let events = parse(dir, "ratings.dat", rating, &mut bad, &mut lines)?;
    bad.check(lines, options.bad_lines)?;
    for (what, len) in [
        ("users", users.len()),
        ("items", items.len()),
        ("events", events.len()),
    ] {
        if len == 0 {
            return Err(Error::Empty {
                path: dir.to_path_buf(),
                what,
            });
        }
    }
    Ok(Dataset::new(
        "ml-1m",
        users,
        items,
        vec!["rating".to_owned()],
        events,
        bad,
    ))
}

/// Reads one file line by line; a line that `parse` refuses is counted as bad.
fn parse<T>(
    dir: &Path,
    file: &str,
    mut parse: impl FnMut(&[&str]) -> Result<T, String>,
    bad: &mut BadLines,
    lines: &mut u64,
) -> Result<Vec<T>, Error> {
    let path = dir.join(file);
    let bytes = fs::read(&path).map_err(Error::io(&path))?;
    let mut records = Vec::new();
    let mut number = 0;
    for line in bytes.split(|&byte| byte == b'\n') {
        number += 1;
        let line: String = line.iter().map(|&byte| char::from(byte)).collect();
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            continue;
        }
        *lines += 1;
        let fields: Vec<&str> = line.split("::").collect();
        match parse(&fields) {
            Ok(record) => records.push(record),
            Err(reason) => bad.push(file, number, reason),
        }
    }
    Ok(records)
}

/// Gives a new id the next index.
fn number_off<K: Hash + Eq + Display>(index: &mut HashMap<K, u32>, id: K) -> Result<(), String> {
    let next = index.len() as u32;
    match index.entry(id) {
        Entry::Vacant(entry) => {
            entry.insert(next);
            Ok(())
        }
        Entry::Occupied(entry) => Err(format!("id {} a second time", entry.key())),
    }
}

fn user(fields: &[&str]) -> Result<UserRecord, String> {
    let &[id, gender, age, occupation, zip] = fields else {
        return Err(wrong_count(fields, 5));
    };
    number::<u32>("user", id)?;
    let features = [
        ("gender", gender),
        ("age", age),
        ("occupation", occupation),
        ("zip", zip),
    ];
    Ok(UserRecord {
        id: id.to_owned(),
        features: features
            .map(|(name, value)| (name.to_owned(), Value::Text(value.to_owned())))
            .into(),
    })
}

fn item(fields: &[&str]) -> Result<CatalogItem, String> {
    let &[id, title, genres] = fields else {
        return Err(wrong_count(fields, 3));
    };
    let genres = genres.split('|').filter(|genre| !genre.is_empty());
    let mut features = Features::from([(
        "genres".to_owned(),
        Value::List(genres.map(str::to_owned).collect()),
    )]);
    if let Some(year) = year(title) {
        features.insert("year".to_owned(), Value::Number(f64::from(year)));
    }
    Ok(CatalogItem {
        id: number("movie", id)?,
        key: None,
        title: title.to_owned(),
        popularity: 0,
        features,
    })
}

/// Returns the year in brackets at the end of a title.
fn year(title: &str) -> Option<u16> {
    let (_, year) = title.trim_end().strip_suffix(')')?.rsplit_once('(')?;
    (year.len() == 4).then(|| year.parse().ok()).flatten()
}

fn rating(
    fields: &[&str],
    event_id: u64,
    users: &HashMap<String, u32>,
    items: &HashMap<u64, u32>,
) -> Result<EventRecord, String> {
    let &[user, item, value, time] = fields else {
        return Err(wrong_count(fields, 4));
    };
    let value: f32 = number("rating", value)?;
    if !value.is_finite() {
        return Err(format!("rating {value} is no finite number"));
    }
    Ok(EventRecord {
        user: *users
            .get(user)
            .ok_or_else(|| format!("user {user:?} is not in users.dat"))?,
        item: *items
            .get(&number("movie", item)?)
            .ok_or_else(|| format!("movie {item} is not in movies.dat"))?,
        kind: 0,
        value,
        time: number("time", time)?,
        event_id,
    })
}

fn number<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{what} {text:?} is no number"))
}

fn wrong_count(fields: &[&str], expected: usize) -> String {
    format!("{} fields, expected {expected}", fields.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use tempfile::TempDir;

    use super::*;

    /// Writes the three files, given in Latin-1.
    fn raw(users: &[u8], movies: &[u8], ratings: &[u8]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("users.dat"), users).unwrap();
        fs::write(dir.path().join("movies.dat"), movies).unwrap();
        fs::write(dir.path().join("ratings.dat"), ratings).unwrap();
        dir
    }

    const USERS: &[u8] = b"1::F::1::10::48067\n2::M::56::16::70072-4443\n";
    const MOVIES: &[u8] = b"7::Caf\xe9 au lait (1993)::Comedy|Drama\n9::Nameless::Drama\r\n";

    #[test]
    fn the_three_files_become_users_items_and_events() {
        let dir = raw(USERS, MOVIES, b"2::9::4::978300760\n1::7::5::978300761\n");
        let dataset = read(dir.path(), &Options::default()).unwrap();
        assert_eq!(
            dataset.users[1].features["zip"],
            Value::Text("70072-4443".into())
        );
        assert_eq!(dataset.items[0].title, "Caf\u{e9} au lait (1993)");
        assert_eq!(dataset.items[0].features["year"], Value::Number(1993.0));
        assert_eq!(
            dataset.items[0].features["genres"],
            Value::List(vec!["Comedy".into(), "Drama".into()])
        );
        assert!(!dataset.items[1].features.contains_key("year"));
        let event = dataset.events[0];
        assert_eq!(
            (event.user, event.item, event.value, event.time),
            (1, 1, 4.0, 978_300_760)
        );
        assert_eq!(dataset.items[1].popularity, 1);
    }

    #[test]
    fn bad_lines_are_counted_and_named() {
        let ratings = b"1::7::5::1\n3::7::5::1\n1::8::5::1\n1::7::x::1\n1::7::5\n";
        let dir = raw(USERS, MOVIES, ratings);
        let dataset = read(dir.path(), &Options { bad_lines: 0.5 }).unwrap();
        assert_eq!(dataset.events.len(), 1);
        assert_eq!(dataset.bad_lines.count, 4);
        let shown = dataset.bad_lines.to_string();
        assert!(
            shown.contains("ratings.dat:2: user \"3\" is not in users.dat"),
            "{shown}"
        );
        assert!(
            shown.contains("ratings.dat:3: movie 8 is not in movies.dat"),
            "{shown}"
        );
        assert!(
            shown.contains("ratings.dat:4: rating \"x\" is no number"),
            "{shown}"
        );
        assert!(
            shown.contains("ratings.dat:5: 3 fields, expected 4"),
            "{shown}"
        );
    }

    #[test]
    fn too_many_bad_lines_are_an_error() {
        let dir = raw(USERS, MOVIES, b"1::7::5::1\nnonsense\n");
        let error = read(dir.path(), &Options::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("more than 1.00 % of 6 lines cannot be used: 1\n  ratings.dat:2"),
            "{error}"
        );
    }

    #[test]
    fn a_second_user_of_the_same_id_is_a_bad_line() {
        let dir = raw(b"1::F::1::10::4\n1::M::1::10::4\n", MOVIES, b"1::7::5::1\n");
        let dataset = read(dir.path(), &Options { bad_lines: 0.5 }).unwrap();
        assert_eq!(dataset.users.len(), 1);
        assert_eq!(dataset.bad_lines.first[0].reason, "id 1 a second time");
    }

    #[test]
    fn a_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = read(dir.path(), &Options::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("users.dat"), "{error}");
    }
}
