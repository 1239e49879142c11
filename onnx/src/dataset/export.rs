//! Writes the training samples for people who train elsewhere.
//!
//! ```text
//! export.json            what was exported, and how; written last
//! samples.parquet        one row a sample, see below
//! events.csv             user,item,value,time,split: the same events without histories, each user's oldest first
//! users.jsonl            {"id":"1","features":{"gender":"F","age":"1"}}, as in the prepared dataset
//! items.jsonl            the catalog
//! vocabulary/item.id.txt line i is id i, after <pad> and <unk>: the items of the set, in the catalog's order
//! vocabulary/F.txt       user.id, and each feature of users (user.age) and items (item.genres), sorted
//! ```
//!
//! `samples.parquet`: each event of a user but the first is a positive, with what came before it as the history.
//!
//! | column | type | content |
//! |---|---|---|
//! | `split` | text | `train`; `test` for a user's last event; `validation` for the one before |
//! | `user` | text | the user's id |
//! | `user_F` | text, may be missing, or a list of texts | feature `F` of the user |
//! | `history_items` | list of u64 | the newest items before the positive, at most the history's length, oldest first |
//! | `history_values`, `history_times` | lists of f32, i64 | their ratings, and their times in seconds since the epoch |
//! | `item`, `value`, `time` | u64, f32, i64 | the positive; its time is the request's |
//! | `negatives` | list of u64 | items drawn evenly from those that the user has no training event with; none outside `train`, where all items are ranked |

mod columns;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
};

use encoder::features::{Features, Value};
use serde::Serialize;
use serde_json::json;

use crate::{
    dataset::{
        Dataset,
        error::Error,
        export::columns::{Arity, Kind, Spec, Table},
        files,
        split::{ItemSet, Sequence, Split},
    },
    model::vocabulary::{RESERVED, Vocabulary},
    progress,
    sampling::{draws, negatives::Unwatched},
};

const SUMMARY: &str = "export.json";
const SAMPLES: &str = "samples.parquet";
const EVENTS: &str = "events.csv";
/// The purpose of the draws, apart from those of training.
const PURPOSE: u64 = 9;

/// What to export.
#[derive(Debug, Clone, Serialize)]
pub struct Options {
    /// Which items take part.
    pub items: ItemSet,
    /// Events of a history at most.
    pub history: usize,
    /// Negatives a training sample.
    pub negatives: usize,
    /// Equal seeds draw equal negatives.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            items: ItemSet::S,
            history: 50,
            negatives: 10,
            seed: 1,
        }
    }
}

/// How many samples there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// To train with.
    pub train: u64,
    /// To decide with.
    pub validation: u64,
    /// To report.
    pub test: u64,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            train,
            validation,
            test,
        } = self;
        write!(
            f,
            "{train} samples to train, {validation} to validate, {test} to test"
        )
    }
}

/// Writes the directory, creating it if absent; an export already there is replaced.
///
/// # Errors
/// [`Error::Io`] for what cannot be written, [`Error::Unwritable`] for a value that no line of a vocabulary can hold.
pub fn export(dataset: &Dataset, out: &Path, options: &Options) -> Result<Exported, Error> {
    let vocabulary = out.join("vocabulary");
    fs::create_dir_all(&vocabulary).map_err(Error::io(&vocabulary))?;
    let summary = out.join(SUMMARY);
    match fs::remove_file(&summary) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(&summary)(e)),
        _ => {}
    }
    let split = Split::new(dataset, options.items);
    for (name, vocabulary) in vocabularies(dataset, &split) {
        write_vocabulary(&vocabulary, &out.join(format!("vocabulary/{name}.txt")))?;
    }
    files::write_catalog(dataset, out)?;
    write_events(dataset, &split, &out.join(EVENTS))?;
    let exported = write_samples(dataset, &split, options, &out.join(SAMPLES))?;
    let described = json!({
        "dataset": dataset.name, "dataset_hash": dataset.hash, "options": options, "samples": exported,
        "protocol": "leave-one-out by time: of each user's events the last is the test, the one before validates",
    });
    fs::write(&summary, format!("{described:#}\n")).map_err(Error::io(&summary))?;
    Ok(exported)
}

/// The vocabularies by name.
fn vocabularies(dataset: &Dataset, split: &Split) -> BTreeMap<String, Vocabulary> {
    let items = || {
        split
            .items
            .iter()
            .map(|&index| &dataset.items[index as usize])
    };
    let ids = items().map(|item| item.id.to_string());
    let users = dataset.users.iter().map(|user| user.id.clone());
    let mut all = BTreeMap::from([
        ("item.id".to_owned(), Vocabulary::new(ids)),
        ("user.id".to_owned(), Vocabulary::new(users)),
    ]);
    let user_features = || dataset.users.iter().map(|user| &user.features);
    for feature in names(user_features()) {
        let values = user_features().filter_map(|features| features.get(feature));
        all.insert(format!("user.{feature}"), Vocabulary::of_feature(values));
    }
    let item_features = || items().map(|item| &item.features);
    for feature in names(item_features()) {
        let values = item_features().filter_map(|features| features.get(feature));
        all.insert(format!("item.{feature}"), Vocabulary::of_feature(values));
    }
    all
}

fn names<'a>(features: impl Iterator<Item = &'a Features>) -> BTreeSet<&'a str> {
    features
        .flat_map(|features| features.keys().map(String::as_str))
        .collect()
}

fn write_vocabulary(vocabulary: &Vocabulary, path: &Path) -> Result<(), Error> {
    if let Some(value) = vocabulary.unwritable() {
        return Err(Error::Unwritable {
            path: path.to_path_buf(),
            value: value.to_owned(),
        });
    }
    let text = vocabulary.lines().join("\n") + "\n";
    fs::write(path, text).map_err(Error::io(path))
}

fn write_events(dataset: &Dataset, split: &Split, path: &Path) -> Result<(), Error> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        writeln!(file, "user,item,value,time,split")?;
        let mut lines = csv::Writer::from_writer(file);
        for user in &split.users {
            let id = &dataset.users[user.user as usize].id;
            for at in 0..user.items.len() {
                let (item, value, time) = event(dataset, split, user, at);
                let (item, value, time) = (item.to_string(), value.to_string(), time.to_string());
                lines.write_record([id, &item, &value, &time, part(user, at)])?;
            }
        }
        lines.flush()
    };
    write().map_err(Error::io(path))
}

fn write_samples(
    dataset: &Dataset,
    split: &Split,
    options: &Options,
    path: &Path,
) -> Result<Exported, Error> {
    let unwatched = Unwatched::new(
        split.users.iter().map(|user| {
            let ids = user.training().iter().map(|item| item + RESERVED as u32);
            ids.collect()
        }),
        split.items.len() + RESERVED,
    );
    let features = user_features(dataset);
    let mut table = Table::create(path, specs(&features))?;
    let mut exported = Exported::default();
    let bar = progress::bar(split.users.len() as u64, "users");
    for (index, user) in (0..).zip(&split.users) {
        let record = &dataset.users[user.user as usize];
        let mut rng = draws(options.seed, PURPOSE, u64::from(index));
        for at in 1..user.items.len() {
            let history = at.saturating_sub(options.history)..at;
            let events: Vec<_> = history.map(|at| event(dataset, split, user, at)).collect();
            let (item, value, time) = event(dataset, split, user, at);
            let part = part(user, at);
            let drawn = match part == TRAIN && unwatched.any(index) {
                true => options.negatives,
                false => 0,
            };
            let negatives: Vec<u64> = (0..drawn)
                .map(|_| {
                    item_id(
                        dataset,
                        split,
                        unwatched.draw(index, &mut rng) - RESERVED as u32,
                    )
                })
                .collect();

            let mut columns = table.columns.iter_mut();
            let mut next = || columns.next().expect("every cell has its column");
            next().texts([part]);
            next().texts([record.id.as_str()]);
            for (feature, arity) in &features {
                let texts = texts(record.features.get(feature));
                let most = if *arity == Arity::List {
                    texts.len()
                } else {
                    1
                };
                next().texts(texts.iter().take(most).map(String::as_str));
            }
            next().ids(events.iter().map(|event| event.0));
            next().floats(events.iter().map(|event| event.1));
            next().times(events.iter().map(|event| event.2));
            next().ids([item]);
            next().floats([value]);
            next().times([time]);
            next().ids(negatives);
            table.end_row(path)?;
            match part {
                TRAIN => exported.train += 1,
                VALIDATION => exported.validation += 1,
                _ => exported.test += 1,
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    table.close(path)?;
    Ok(exported)
}

const TRAIN: &str = "train";
const VALIDATION: &str = "validation";
const TEST: &str = "test";

/// Which part event `at` of a user belongs to.
fn part(user: &Sequence, at: usize) -> &'static str {
    match at {
        at if at < user.training_len() => TRAIN,
        at if at == user.training_len() => VALIDATION,
        _ => TEST,
    }
}

/// Item, rating and time of event `at` of a user.
fn event(dataset: &Dataset, split: &Split, user: &Sequence, at: usize) -> (u64, f32, i64) {
    (
        item_id(dataset, split, user.items[at]),
        user.values[at],
        user.times[at],
    )
}

fn item_id(dataset: &Dataset, split: &Split, dense: u32) -> u64 {
    dataset.items[split.items[dense as usize] as usize].id
}

/// The features that users have; one that is a list for any user is a list for all.
fn user_features(dataset: &Dataset) -> BTreeMap<String, Arity> {
    let mut all = BTreeMap::new();
    for (name, value) in dataset.users.iter().flat_map(|user| &user.features) {
        let arity = all.entry(name.clone()).or_insert(Arity::Optional);
        if matches!(value, Value::List(_)) {
            *arity = Arity::List;
        }
    }
    all
}

fn specs(features: &BTreeMap<String, Arity>) -> Vec<Spec> {
    let mut specs = vec![
        Spec::new("split", Kind::Text, Arity::One),
        Spec::new("user", Kind::Text, Arity::One),
    ];
    let features = features.iter();
    specs.extend(
        features.map(|(name, arity)| Spec::new(format!("user_{name}"), Kind::Text, *arity)),
    );
    specs.extend([
        Spec::new("history_items", Kind::Id, Arity::List),
        Spec::new("history_values", Kind::Float, Arity::List),
        Spec::new("history_times", Kind::Time, Arity::List),
        Spec::new("item", Kind::Id, Arity::One),
        Spec::new("value", Kind::Float, Arity::One),
        Spec::new("time", Kind::Time, Arity::One),
        Spec::new("negatives", Kind::Id, Arity::List),
    ]);
    specs
}

/// The texts of a feature, numbers as they stand in vocabularies.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        None => Vec::new(),
        Some(Value::Number(number)) => vec![number.to_string()],
        Some(Value::Text(text)) => vec![text.clone()],
        Some(Value::List(texts)) => texts.clone(),
    }
}

#[cfg(test)]
mod tests;
