//! The users of a prepared dataset.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context as _;
use encoder::features::{Event, Features, User};
use serde::Deserialize;

/// A line of users.jsonl.
#[derive(Deserialize)]
struct UserLine {
    id: String,
    #[serde(default)]
    features: Features,
}

/// A line of events.csv.
#[derive(Deserialize)]
struct EventLine {
    user: String,
    item: u64,
    kind: String,
    value: f32,
    time: i64,
}

/// The first `count` users of a prepared dataset, each with the whole history, oldest first.
pub(crate) fn read(data: &Path, count: usize) -> anyhow::Result<Vec<User>> {
    let path = data.join("users.jsonl");
    let lines = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut users = BTreeMap::new();
    for line in lines.lines().take(count) {
        let line: UserLine = serde_json::from_str(line)?;
        let user = User {
            id: line.id.clone(),
            features: line.features,
            ..User::default()
        };
        users.insert(line.id, user);
    }
    for line in csv::Reader::from_path(data.join("events.csv"))?.into_deserialize() {
        let line: EventLine = line?;
        if let Some(user) = users.get_mut(&line.user) {
            user.history.push(Event {
                item: line.item,
                kind: line.kind,
                value: line.value,
                time: line.time,
            });
        }
    }
    for user in users.values_mut() {
        user.history.sort_by_key(|event| event.time);
    }
    Ok(users.into_values().collect())
}
