//! The prepared dataset directory: what `onnx data` writes and everything else reads.
//!
//! ```text
//! dataset.json   name, counts, hash, bad lines; written last
//! users.jsonl    {"id":"1","features":{"gender":"F","age":"1"}}
//! items.jsonl    {"id":1,"title":"Toy Story (1995)","popularity":2077,"features":{"genres":["Comedy"],"year":1995}}
//! events.csv     user,item,kind,value,time,event_id
//! ```
//! The hash is BLAKE3 over the BLAKE3 hashes of the three files, in the order above.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
};

use encoder::features::CatalogItem;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::dataset::{Dataset, EventRecord, UserRecord, bad_lines::BadLines, error::Error};

const SUMMARY: &str = "dataset.json";
const USERS: &str = "users.jsonl";
const ITEMS: &str = "items.jsonl";
const EVENTS: &str = "events.csv";
const HEADER: &str = "user,item,kind,value,time,event_id";

/// What `dataset.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What the dataset is called.
    pub name: String,
    /// How many users.
    pub users: u64,
    /// How many items, with events or without.
    pub items: u64,
    /// How many events.
    pub events: u64,
    /// Hash of the three files.
    pub hash: String,
    /// Lines of the source that could not be used.
    pub bad_lines: BadLines,
}

impl Summary {
    /// Reads `dataset.json` alone.
    ///
    /// # Errors
    /// [`Error::NotPrepared`] if there is none, [`Error::Line`] if it cannot be understood.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(SUMMARY);
        let text = match fs::read_to_string(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NotPrepared(dir.to_path_buf()));
            }
            read => read.map_err(Error::io(&path))?,
        };
        serde_json::from_str(&text).map_err(|e| Error::Line {
            path,
            line: e.line() as u64,
            reason: e.to_string(),
        })
    }
}

impl Dataset {
    /// Reads a prepared directory.
    ///
    /// # Errors
    /// [`Error::NotPrepared`], or a line that cannot be read, or files that are not those that were written.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let summary = Summary::read(dir)?;
        let mut hasher = blake3::Hasher::new();
        let users: Vec<UserRecord> = read_json_lines(&dir.join(USERS), &mut hasher)?;
        let items: Vec<CatalogItem> = read_json_lines(&dir.join(ITEMS), &mut hasher)?;
        let (kinds, events) = read_events(&dir.join(EVENTS), &users, &items, &mut hasher)?;
        let found = hasher.finalize().to_hex().to_string();
        if found != summary.hash {
            return Err(Error::Hash {
                path: dir.to_path_buf(),
                found,
                expected: summary.hash,
            });
        }
        Ok(Self {
            name: summary.name,
            hash: summary.hash,
            users,
            items,
            kinds,
            events,
            bad_lines: summary.bad_lines,
        })
    }

    /// Writes a prepared directory, creating it if absent; a dataset already there is replaced.
    ///
    /// # Errors
    /// [`Error::Io`]; `dataset.json` is written last, so that half a dataset is never read.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        fs::create_dir_all(dir).map_err(Error::io(dir))?;
        let summary = dir.join(SUMMARY);
        match fs::remove_file(&summary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io(&summary)(e)),
            _ => {}
        }
        PARTS
            .iter()
            .try_for_each(|part| write_part(self, dir, part))?;
        let text = serde_json::to_string_pretty(&self.summary()).map_err(io::Error::from);
        text.and_then(|text| fs::write(&summary, text + "\n"))
            .map_err(Error::io(&summary))
    }

    /// Returns what `dataset.json` says of this dataset.
    pub fn summary(&self) -> Summary {
        Summary {
            name: self.name.clone(),
            users: self.users.len() as u64,
            items: self.items.len() as u64,
            events: self.events.len() as u64,
            hash: self.hash.clone(),
            bad_lines: self.bad_lines.clone(),
        }
    }
}

/// Writes users and items alone, as [`Dataset::write`] does.
pub(crate) fn write_catalog(dataset: &Dataset, dir: &Path) -> Result<(), Error> {
    PARTS[..2]
        .iter()
        .try_for_each(|part| write_part(dataset, dir, part))
}

fn write_part(
    dataset: &Dataset,
    dir: &Path,
    (name, write): &(&str, WritePart),
) -> Result<(), Error> {
    let path = dir.join(name);
    let write_file = || {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        write(dataset, &mut file)?;
        file.flush()
    };
    write_file().map_err(Error::io(&path))
}

/// Returns the hash that [`Dataset::write`] would give the content.
pub(crate) fn content_hash(dataset: &Dataset) -> String {
    let mut hasher = blake3::Hasher::new();
    for (_, write) in PARTS {
        let mut part = BufWriter::with_capacity(1 << 16, blake3::Hasher::new());
        // A hasher takes every byte: there is nothing to fail.
        let hashed = write(dataset, &mut part).and_then(|()| Ok(part.into_inner()?.finalize()));
        if let Ok(hash) = hashed {
            hasher.update(hash.as_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}

type WritePart = fn(&Dataset, &mut dyn Write) -> io::Result<()>;

const PARTS: [(&str, WritePart); 3] = [
    (USERS, |dataset, out| write_json_lines(&dataset.users, out)),
    (ITEMS, |dataset, out| write_json_lines(&dataset.items, out)),
    (EVENTS, write_events),
];

fn write_json_lines<T: Serialize>(records: &[T], out: &mut dyn Write) -> io::Result<()> {
    for record in records {
        serde_json::to_writer(&mut *out, record)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn write_events(dataset: &Dataset, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(HEADER.as_bytes())?;
    out.write_all(b"\n")?;
    let mut csv = csv::Writer::from_writer(out);
    for event in &dataset.events {
        csv.write_record([
            dataset.users[event.user as usize].id.as_str(),
            &dataset.items[event.item as usize].id.to_string(),
            &dataset.kinds[event.kind as usize],
            &event.value.to_string(),
            &event.time.to_string(),
            &format!("{:020}", event.event_id),
        ])?;
    }
    csv.flush()
}

/// Reads a whole file and adds its hash to `hasher`.
fn read_hashed(path: &Path, hasher: &mut blake3::Hasher) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(Error::io(path))?;
    hasher.update(blake3::hash(&bytes).as_bytes());
    Ok(bytes)
}

fn read_json_lines<T: DeserializeOwned>(
    path: &Path,
    hasher: &mut blake3::Hasher,
) -> Result<Vec<T>, Error> {
    let bytes = read_hashed(path, hasher)?;
    let lines = BufReader::new(bytes.as_slice()).split(b'\n');
    let parse = |(index, line): (usize, io::Result<Vec<u8>>)| {
        let line = line.map_err(Error::io(path))?;
        serde_json::from_slice(&line).map_err(|e| Error::Line {
            path: path.to_path_buf(),
            line: index as u64 + 1,
            reason: e.to_string(),
        })
    };
    lines.enumerate().map(parse).collect()
}

fn read_events(
    path: &Path,
    users: &[UserRecord],
    items: &[CatalogItem],
    hasher: &mut blake3::Hasher,
) -> Result<(Vec<String>, Vec<EventRecord>), Error> {
    let bytes = read_hashed(path, hasher)?;
    let users: HashMap<&str, u32> = (0..).zip(users).map(|(i, u)| (u.id.as_str(), i)).collect();
    let items: HashMap<u64, u32> = (0..).zip(items).map(|(i, item)| (item.id, i)).collect();
    let mut kinds: Vec<String> = Vec::new();
    let mut events = Vec::new();
    let bad = |line: u64, reason: String| Error::Line {
        path: path.to_path_buf(),
        line,
        reason,
    };
    let mut csv = csv::Reader::from_reader(bytes.as_slice());
    let mut row = csv::StringRecord::new();
    while csv
        .read_record(&mut row)
        .map_err(|e| bad(csv.position().line(), e.to_string()))?
    {
        let line = row.position().map_or(0, csv::Position::line);
        let cell = |column: usize| row.get(column).unwrap_or_default();
        let wrong = |column: usize| {
            bad(
                line,
                format!("{HEADER}: {:?} in column {}", cell(column), column + 1),
            )
        };
        let kind = match kinds.iter().position(|kind| kind == cell(2)) {
            Some(kind) => kind,
            None => {
                kinds.push(cell(2).to_owned());
                kinds.len() - 1
            }
        };
        events.push(EventRecord {
            user: *users.get(cell(0)).ok_or_else(|| wrong(0))?,
            item: *cell(1)
                .parse()
                .ok()
                .and_then(|id: u64| items.get(&id))
                .ok_or_else(|| wrong(1))?,
            kind: u16::try_from(kind).map_err(|_| wrong(2))?,
            value: cell(3).parse().map_err(|_| wrong(3))?,
            time: cell(4).parse().map_err(|_| wrong(4))?,
            event_id: cell(5).parse().map_err(|_| wrong(5))?,
        });
    }
    Ok((kinds, events))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use encoder::features::Value;

    use super::*;

    fn dataset() -> Dataset {
        let user = UserRecord {
            id: "a, \"b\"".into(),
            features: [("zip".to_owned(), Value::Text("04810".into()))].into(),
        };
        let item = |id| CatalogItem {
            id,
            key: None,
            title: format!("Item {id}"),
            popularity: 0,
            features: [("year".to_owned(), Value::Number(1993.0))].into(),
        };
        let event = |item, event_id| EventRecord {
            user: 0,
            item,
            kind: item as u16,
            value: 4.5,
            time: -3,
            event_id,
        };
        Dataset::new(
            "small",
            vec![user],
            vec![item(u64::MAX), item(7)],
            vec!["view".into(), "rating".into()],
            vec![event(0, 1), event(1, 2)],
            BadLines::default(),
        )
    }

    #[test]
    fn a_dataset_reads_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let dataset = dataset();
        dataset.write(dir.path()).unwrap();
        assert_eq!(Dataset::read(dir.path()).unwrap(), dataset);
        let events = fs::read_to_string(dir.path().join(EVENTS)).unwrap();
        assert_eq!(
            events.lines().nth(2),
            Some("\"a, \"\"b\"\"\",7,rating,4.5,-3,00000000000000000002")
        );
    }

    #[test]
    fn a_changed_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        dataset().write(dir.path()).unwrap();
        let path = dir.path().join(ITEMS);
        let text = fs::read_to_string(&path).unwrap().replace("1993", "1994");
        fs::write(&path, text).unwrap();
        let error = Dataset::read(dir.path()).unwrap_err();
        assert!(matches!(error, Error::Hash { .. }), "{error}");
    }

    #[test]
    fn an_event_of_an_unknown_item_is_named_by_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        dataset().write(dir.path()).unwrap();
        let path = dir.path().join(EVENTS);
        let text = fs::read_to_string(&path).unwrap().replace(",7,", ",8,");
        fs::write(&path, text).unwrap();
        let error = Dataset::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("events.csv:3"), "{error}");
    }

    #[test]
    fn an_empty_directory_says_how_to_make_a_dataset() {
        let dir = tempfile::tempdir().unwrap();
        let error = Dataset::read(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("make one with `onnx data`"), "{error}");
    }
}
