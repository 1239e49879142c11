//! Reads a prepared dataset into chunks for the wire.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read},
    path::Path,
};

use anyhow::Context as _;
use encoder::features::Features;
use indicatif::ProgressBar;
use proto::v1::{Event, ImportUsersRequest, ItemRef, UserProfile, item_ref::Name};
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::grpc;

const USERS: &str = "users.jsonl";
const EVENTS: &str = "events.csv";
/// Roughly the bytes of a chunk, well below the 1 MiB that a message may have.
const CHUNK_BYTES: usize = 512 * 1024;
/// Roughly the bytes of an event or a profile beside its texts.
const ROW_BYTES: usize = 40;

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
    event_id: String,
}

/// Sends the dataset chunk by chunk, profiles first; stops where nobody listens any more.
pub(super) fn read(
    dir: &Path,
    bar: &ProgressBar,
    sender: &mpsc::Sender<ImportUsersRequest>,
) -> anyhow::Result<()> {
    let (users, events) = (dir.join(USERS), dir.join(EVENTS));
    bar.set_length(size(&users)? + size(&events)?);
    let mut chunk = Chunk::default();

    for (number, line) in open(&users, bar)?.lines().enumerate() {
        let place = || format!("{}:{}", users.display(), number + 1);
        let line: UserLine =
            serde_json::from_str(&line.with_context(place)?).with_context(place)?;
        if !chunk.profile(line, sender) {
            return Ok(());
        }
    }
    for line in csv::Reader::from_reader(open(&events, bar)?).into_deserialize() {
        // The error names the line.
        let line: EventLine = line.with_context(|| events.display().to_string())?;
        if !chunk.event(line, sender) {
            return Ok(());
        }
    }
    chunk.send(sender);
    Ok(())
}

/// What is sent together.
#[derive(Default)]
struct Chunk {
    message: ImportUsersRequest,
    bytes: usize,
}

impl Chunk {
    /// Adds a profile; false if nobody listens any more.
    fn profile(&mut self, line: UserLine, sender: &mpsc::Sender<ImportUsersRequest>) -> bool {
        self.bytes += (1 + line.features.len()) * ROW_BYTES + line.id.len();
        self.message.profiles.push(UserProfile {
            user_id: line.id,
            features: Some(grpc::write::features(&line.features)),
        });
        self.bytes < CHUNK_BYTES || self.send(sender)
    }

    /// Adds an event; false if nobody listens any more.
    fn event(&mut self, line: EventLine, sender: &mpsc::Sender<ImportUsersRequest>) -> bool {
        self.bytes += ROW_BYTES + line.user.len() + line.kind.len() + line.event_id.len();
        self.message.events.push(Event {
            user_id: line.user,
            item: Some(ItemRef {
                name: Some(Name::Id(line.item)),
            }),
            r#type: line.kind,
            value: line.value,
            time: line.time,
            event_id: line.event_id,
        });
        self.bytes < CHUNK_BYTES || self.send(sender)
    }

    fn send(&mut self, sender: &mpsc::Sender<ImportUsersRequest>) -> bool {
        let chunk = std::mem::take(self);
        sender.blocking_send(chunk.message).is_ok()
    }
}

fn size(path: &Path) -> anyhow::Result<u64> {
    let metadata = std::fs::metadata(path).with_context(|| path.display().to_string())?;
    Ok(metadata.len())
}

fn open(path: &Path, bar: &ProgressBar) -> anyhow::Result<BufReader<impl Read + use<>>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    Ok(BufReader::with_capacity(1 << 20, bar.wrap_read(file)))
}
