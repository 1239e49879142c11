//! What is stored of a user, and what a store of it must do.

use std::sync::Arc;

use encoder::features::Features;

use crate::error::Error;

/// An event of one user; `(time, event_id)` is its key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// When, in seconds since the epoch.
    pub(crate) time: i64,
    /// Tells events of one time apart.
    pub(crate) event_id: String,
    /// The item.
    pub(crate) item: u64,
    /// What was done.
    pub(crate) kind: String,
    /// How much.
    pub(crate) value: f32,
}

/// An event and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// The user.
    pub(crate) user: String,
    /// The event.
    pub(crate) event: Event,
}

/// One write: all of it is on disk when it is acknowledged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Write {
    /// Events to add.
    pub(crate) records: Vec<Record>,
    /// Profiles to put in the place of the stored ones.
    pub(crate) profiles: Vec<(String, Features)>,
}

/// What became of the events of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Events that were new.
    pub(crate) recorded: u64,
    /// Events whose key was known; nothing changed for them.
    pub(crate) duplicates: u64,
}

/// A user as stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct History {
    /// The newest events by `(time, event_id)`, oldest first.
    pub(crate) events: Vec<Event>,
    /// Every item that the user ever had an event with, ascending.
    pub(crate) seen: Vec<u64>,
    /// The profile, if one was put.
    pub(crate) profile: Option<Features>,
}

/// Keeps histories.
///
/// Durability class of every implementation: what [`write`](Self::write) acknowledged survives
/// kill -9 and the loss of the page cache.
#[tonic::async_trait]
pub(crate) trait HistoryStore: Send + Sync + 'static {
    /// Adds events and puts profiles, once each however often it is called with them.
    ///
    /// An event older than all the events kept of a user who has the most that are kept counts as
    /// known if its item is seen: nothing would change for it.
    ///
    /// # Errors
    /// [`Error::QueueFull`] if too many writes wait, [`Error::History`] if it cannot be made
    /// durable; then nothing is acknowledged, and the same write may be tried again.
    async fn write(&self, write: Write) -> Result<Tally, Error>;

    /// Reads a user; one never heard of is empty. Sees every write acknowledged before.
    ///
    /// # Errors
    /// [`Error::History`] if it cannot be read.
    async fn read(&self, user: &str) -> Result<Arc<History>, Error>;
}

impl Write {
    /// A write's share of the bytes that one commit may have, roughly its size on disk.
    pub(crate) fn bytes(&self) -> usize {
        const ROW: usize = 64;
        let records = self.records.iter().map(|Record { user, event }| {
            ROW + 2 * user.len() + event.event_id.len() + event.kind.len()
        });
        let profiles = self.profiles.iter();
        records.sum::<usize>()
            + profiles
                .map(|(user, _)| 4 * ROW + user.len())
                .sum::<usize>()
    }

    /// The users written to, some of them more than once.
    pub(crate) fn users(&self) -> impl Iterator<Item = &str> {
        let recorded = self.records.iter().map(|record| record.user.as_str());
        recorded.chain(self.profiles.iter().map(|(user, _)| user.as_str()))
    }
}

impl Event {
    /// What orders the events of a user.
    pub(crate) fn key(&self) -> (i64, &str) {
        (self.time, &self.event_id)
    }
}

impl History {
    /// The memory that it takes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let events = self.events.iter();
        let text: usize = events.map(|e| e.event_id.len() + e.kind.len()).sum();
        let profile = self
            .profile
            .as_ref()
            .map_or(0, |profile| 128 * profile.len());
        self.events.len() * size_of::<Event>() + text + self.seen.len() * 8 + profile + 128
    }
}
