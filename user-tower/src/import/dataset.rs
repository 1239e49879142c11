//! Reads a prepared dataset into chunks for the wire.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read},
    path::Path,
};

use anyhow::Context as _;
use encoder::features::Features;
use indicatif::ProgressBar;
use serde::Deserialize;

use crate::import::chunk::Chunks;

const USERS: &str = "users.jsonl";
const EVENTS: &str = "events.csv";

/// A line of users.jsonl.
#[derive(Deserialize)]
struct UserLine {
    id: String,
    #[serde(default)]
    features: Features,
}

/// A line of events.csv.
#[derive(Deserialize)]
pub(super) struct EventLine {
    pub(super) user: String,
    pub(super) item: u64,
    pub(super) kind: String,
    pub(super) value: f32,
    pub(super) time: i64,
    pub(super) event_id: String,
}

/// Sends the dataset chunk by chunk, profiles first; stops where nobody listens any more.
pub(super) fn read(dir: &Path, bar: &ProgressBar, chunks: &mut Chunks) -> anyhow::Result<()> {
    let (users, events) = (dir.join(USERS), dir.join(EVENTS));
    bar.set_length(size(&users)? + size(&events)?);
    for (number, line) in open(&users, bar)?.lines().enumerate() {
        let place = || format!("{}:{}", users.display(), number + 1);
        let line: UserLine =
            serde_json::from_str(&line.with_context(place)?).with_context(place)?;
        if !chunks.profile(line.id, &line.features) {
            return Ok(());
        }
    }
    for line in csv::Reader::from_reader(open(&events, bar)?).into_deserialize() {
        // The error names the line.
        let line: EventLine = line.with_context(|| events.display().to_string())?;
        if !chunks.event(line) {
            return Ok(());
        }
    }
    Ok(())
}

fn size(path: &Path) -> anyhow::Result<u64> {
    let metadata = std::fs::metadata(path).with_context(|| path.display().to_string())?;
    Ok(metadata.len())
}

fn open(path: &Path, bar: &ProgressBar) -> anyhow::Result<BufReader<impl Read + use<>>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    Ok(BufReader::with_capacity(1 << 20, bar.wrap_read(file)))
}
