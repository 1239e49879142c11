//! What is stored of a user, and what a store of it must do.

use std::{sync::Arc, time::Duration};

use encoder::features::{Features, Value};
use futures::future::BoxFuture;

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

/// A user as stored, with when each part arrived.
///
/// Two copies of a user become one, in whatever order and however often they meet: the union of the events and of the
/// items seen, the later profile, and nothing that arrived, or is of a time, before the user was last deleted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UserCopy {
    /// The user.
    pub(crate) user: String,
    /// The newest events by `(time, event_id)`, oldest first, and when each arrived.
    pub(crate) events: Vec<(Event, Arrival)>,
    /// Every item that the user ever had an event with, ascending, and when the last of them arrived.
    pub(crate) seen: Vec<(u64, Arrival)>,
    /// The profile, if one was put, and when it arrived.
    pub(crate) profile: Option<(Features, Arrival)>,
    /// When the user was last deleted; 0 means never.
    pub(crate) deleted: Arrival,
    /// When the last write for the user arrived.
    pub(crate) arrived: Arrival,
}

/// When a write came: microseconds since the epoch, more than those of all writes before it, also before a restart, and
/// than those of all copies that came.
pub(crate) type Arrival = u64;

/// One write: all of it is on disk when it is acknowledged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Write {
    /// Events to add.
    pub(crate) records: Vec<Record>,
    /// Profiles to put in the place of the stored ones.
    pub(crate) profiles: Vec<(String, Features)>,
    /// Users as another store has them, to become one with what is stored.
    pub(crate) copies: Vec<UserCopy>,
    /// What to remove, after all else.
    pub(crate) removals: Vec<(String, Removal)>,
    /// The epoch of the MEMBERS by which all users are handed over; 0 says nothing.
    pub(crate) settles: u64,
    /// This write and all later ones arrive after this.
    pub(crate) arrives_after: Arrival,
}

/// What to remove of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// All of it, remembering that the user was deleted.
    Delete,
    /// All of it, without a trace: somebody else keeps the user.
    Forget,
    /// What is older.
    Older {
        /// Events of before this time.
        time: i64,
        /// Items seen of which the last event arrived before.
        arrived: Arrival,
    },
}

/// What became of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Events that were new.
    pub(crate) recorded: u64,
    /// Events whose key was known; nothing changed for them.
    pub(crate) duplicates: u64,
    /// What was removed.
    pub(crate) removed: Removed,
    /// When the write arrived.
    pub(crate) arrived: Arrival,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    /// Users of whom there was something.
    pub(crate) users: u64,
    /// Events.
    pub(crate) events: u64,
    /// Items seen.
    pub(crate) seen: u64,
    /// Profiles.
    pub(crate) profiles: u64,
}

/// A user as a recall needs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct History {
    /// The newest events by `(time, event_id)`, oldest first.
    pub(crate) events: Vec<Event>,
    /// Every item that the user ever had an event with, ascending.
    pub(crate) seen: Vec<u64>,
    /// The profile, if one was put.
    pub(crate) profile: Option<Features>,
    /// When the last write for the user arrived; 0 for a user never heard of.
    pub(crate) arrived: Arrival,
}

/// Which users to read, one page after the other.
#[derive(Clone)]
pub(crate) struct Selection {
    /// Users whose ids are greater; empty for all.
    pub(crate) after: String,
    /// Only users with a later write.
    pub(crate) arrived_after: Arrival,
    /// Only users of whom it says so.
    pub(crate) wanted: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

/// Some users in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Page {
    /// The users, possibly none.
    pub(crate) users: Vec<UserCopy>,
    /// After which user the next page begins; none if this is the last one.
    pub(crate) next: Option<String>,
}

/// Keeps histories.
///
/// Durability class of every implementation: what [`write`](Self::write) acknowledged survives
/// kill -9 and the loss of the page cache.
#[tonic::async_trait]
pub(crate) trait HistoryStore: Send + Sync + 'static {
    /// Adds events, puts profiles, takes copies in and removes, once each however often it is called with them.
    ///
    /// An event older than all the events kept of a user who has the most that are kept counts as
    /// known if its item is seen: nothing would change for it.
    ///
    /// # Errors
    /// [`Error::QueueFull`] if too many writes wait, [`Error::History`] if it cannot be made
    /// durable; then nothing is acknowledged, and the same write may be tried again.
    ///
    /// The write has its place among the others when this returns, before the future is polled.
    fn write(&self, write: Write) -> BoxFuture<'static, Result<Tally, Error>>;

    /// Reads a user; one never heard of is empty. Sees every write acknowledged before.
    ///
    /// # Errors
    /// [`Error::History`] if it cannot be read.
    async fn read(&self, user: &str) -> Result<Arc<History>, Error>;

    /// Writes as [`write`](Self::write), and tries again while too many writes wait: for what nobody waits for.
    ///
    /// # Errors
    /// [`Error::History`].
    async fn write_patiently(&self, write: Write) -> Result<Tally, Error> {
        loop {
            match self.write(write.clone()).await {
                Err(Error::QueueFull { .. }) => tokio::time::sleep(PATIENCE).await,
                answer => return answer,
            }
        }
    }

    /// Reads a user with when each part arrived; one never heard of is empty.
    ///
    /// # Errors
    /// [`Error::History`] if it cannot be read.
    async fn copy(&self, user: &str) -> Result<UserCopy, Error>;

    /// Reads users as they are stored, a page of a bounded size at a time; each is as of one moment, the page is not.
    ///
    /// # Errors
    /// [`Error::History`] if they cannot be read.
    async fn page(&self, selection: Selection) -> Result<Page, Error>;

    /// When the last write of all arrived.
    fn arrived(&self) -> Arrival;

    /// The greatest epoch of MEMBERS that a write noted as settled; 0 if none did.
    fn settled(&self) -> u64;
}

impl Removed {
    /// Counts more in.
    pub(crate) fn add(&mut self, more: Self) {
        self.users += more.users;
        self.events += more.events;
        self.seen += more.seen;
        self.profiles += more.profiles;
    }
}

impl Write {
    /// A write's share of the bytes that one commit may have, roughly its size on disk.
    pub(crate) fn bytes(&self) -> usize {
        let records = self.records.iter();
        let profiles = self.profiles.iter();
        records
            .map(|Record { user, event }| user.len() + event.bytes(user))
            .chain(profiles.map(|(user, profile)| ROW + user.len() + profile_bytes(profile)))
            .chain(self.copies.iter().map(UserCopy::bytes))
            .sum()
    }

    /// The users written to, some of them more than once.
    pub(crate) fn users(&self) -> impl Iterator<Item = &str> {
        let recorded = self.records.iter().map(|record| record.user.as_str());
        recorded
            .chain(self.profiles.iter().map(|(user, _)| user.as_str()))
            .chain(self.copies.iter().map(|copy| copy.user.as_str()))
            .chain(self.removals.iter().map(|(user, _)| user.as_str()))
    }
}

/// How long a write that may wait does so before it is tried again.
pub(crate) const PATIENCE: Duration = Duration::from_millis(20);
/// About the bytes of a row beside its texts.
const ROW: usize = 64;

/// About the bytes of a profile, in memory or on disk.
fn profile_bytes(profile: &Features) -> usize {
    let value = |value: &Value| match value {
        Value::Number(_) => 0,
        Value::Text(text) => text.len(),
        Value::List(texts) => texts.iter().map(|text| ROW / 2 + text.len()).sum(),
    };
    let features = profile.iter();
    features
        .map(|(name, of)| ROW + name.len() + value(of))
        .sum()
}

impl UserCopy {
    /// About its size on disk or on the wire.
    pub(crate) fn bytes(&self) -> usize {
        let events = self.events.iter();
        let events: usize = events.map(|(event, _)| event.bytes(&self.user)).sum();
        let profile = self.profile.as_ref();
        let profile = profile.map_or(0, |(profile, _)| profile_bytes(profile));
        ROW + self.user.len() + events + self.seen.len() * 16 + profile
    }
}

impl UserCopy {
    /// The user as of the arrival, as far as that is known: what was dropped since, and what was written over, is missing.
    pub(crate) fn history_at(self, arrived: Arrival) -> Option<History> {
        let then = |at: Arrival| at <= arrived;
        let same_profile = self.profile.as_ref().is_none_or(|(_, at)| then(*at));
        if !then(self.deleted) || !same_profile {
            return None;
        }
        let events: Vec<Event> = self
            .events
            .into_iter()
            .filter_map(|(event, at)| then(at).then_some(event))
            .collect();
        let seen = self.seen.into_iter().filter(|(_, at)| then(*at));
        let mut seen: Vec<u64> = seen.map(|(item, _)| item).collect();
        seen.extend(events.iter().map(|event| event.item));
        seen.sort_unstable();
        seen.dedup();
        Some(History {
            events,
            seen,
            profile: self.profile.map(|(profile, _)| profile),
            arrived,
        })
    }
}

impl From<UserCopy> for History {
    fn from(copy: UserCopy) -> Self {
        Self {
            events: copy.events.into_iter().map(|(event, _)| event).collect(),
            seen: copy.seen.into_iter().map(|(item, _)| item).collect(),
            profile: copy.profile.map(|(profile, _)| profile),
            arrived: copy.arrived,
        }
    }
}

impl Event {
    /// About the bytes of its row.
    fn bytes(&self, user: &str) -> usize {
        ROW + user.len() + self.event_id.len() + self.kind.len()
    }

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
        let profile = self.profile.as_ref().map_or(0, profile_bytes);
        self.events.len() * size_of::<Event>() + text + self.seen.len() * 8 + profile + 128
    }
}
