//! Puts what is imported together into chunks for the wire.

use encoder::features::Features;
use proto::v1::{Event, ImportUsersRequest, ItemRef, StoredUser, UserProfile, item_ref::Name};
use tokio::sync::mpsc;

use crate::{grpc, import::dataset::EventLine};

/// Roughly the bytes of a chunk, well below the 1 MiB that a message may have.
const CHUNK_BYTES: usize = 512 * 1024;
/// Roughly the bytes of an event or a profile beside its texts.
const ROW_BYTES: usize = 40;

/// Chunks on their way; what is added last is sent by [`finish`](Self::finish).
pub(super) struct Chunks {
    sender: mpsc::Sender<ImportUsersRequest>,
    message: ImportUsersRequest,
    bytes: usize,
}

impl Chunks {
    /// Sends them to `sender`.
    pub(super) fn new(sender: mpsc::Sender<ImportUsersRequest>) -> Self {
        Self {
            sender,
            message: ImportUsersRequest::default(),
            bytes: 0,
        }
    }

    /// Adds a profile; false if nobody listens any more.
    pub(super) fn profile(&mut self, user: String, features: &Features) -> bool {
        self.bytes += (1 + features.len()) * ROW_BYTES + user.len();
        self.message.profiles.push(UserProfile {
            user_id: user,
            features: Some(grpc::write::features(features)),
        });
        self.send_if_full()
    }

    /// Adds an event; false if nobody listens any more.
    pub(super) fn event(&mut self, line: EventLine) -> bool {
        self.bytes += line.bytes();
        let user_id = line.user.clone();
        self.message.events.push(Event {
            user_id,
            ..line.into()
        });
        self.send_if_full()
    }

    /// Adds a part of a user as stored, about `bytes` large; false if nobody listens any more.
    pub(super) fn part(
        &mut self,
        user: &str,
        bytes: usize,
        add: impl FnOnce(&mut StoredUser),
    ) -> bool {
        let users = &mut self.message.users;
        if users.last().is_none_or(|last| last.user_id != user) {
            self.bytes += ROW_BYTES + user.len();
            users.push(StoredUser {
                user_id: user.to_owned(),
                ..StoredUser::default()
            });
        }
        if let Some(last) = users.last_mut() {
            add(last);
        }
        self.bytes += bytes;
        self.send_if_full()
    }

    /// Sends what is left; false if nobody listens any more.
    pub(super) fn finish(mut self) -> bool {
        self.send()
    }

    fn send_if_full(&mut self) -> bool {
        self.bytes < CHUNK_BYTES || self.send()
    }

    fn send(&mut self) -> bool {
        self.bytes = 0;
        let message = std::mem::take(&mut self.message);
        self.sender.blocking_send(message).is_ok()
    }
}

impl EventLine {
    /// Roughly its bytes on the wire.
    pub(super) fn bytes(&self) -> usize {
        ROW_BYTES + self.user.len() + self.kind.len() + self.event_id.len()
    }
}

impl From<EventLine> for Event {
    /// Without the user.
    fn from(line: EventLine) -> Self {
        Self {
            user_id: String::new(),
            item: Some(ItemRef {
                name: Some(Name::Id(line.item)),
            }),
            r#type: line.kind,
            value: line.value,
            time: line.time,
            event_id: line.event_id,
        }
    }
}
