//! A dataset in memory: users, items and events, the same whatever they were read from.
//!
//! [`movielens`], [`import`] and [`generator`] make one; [`files`] keeps it as the prepared directory that training,
//! evaluation, `index-builder` and the import of events read; [`split`] cuts it into training, validation and test;
//! [`export`] writes it for people who train elsewhere.

pub mod bad_lines;
pub mod error;
pub mod export;
pub mod fetch;
pub mod files;
pub mod generator;
pub mod import;
pub mod movielens;
pub mod real;
pub mod split;

use encoder::features::{CatalogItem, Features};

use crate::dataset::bad_lines::BadLines;

/// Users, items and events in the order of the files they came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// What the dataset is called, such as `ml-1m`.
    pub name: String,
    /// Hash of the content: 64 hex digits, equal for equal datasets (see [`files`]).
    pub hash: String,
    /// Users, each id once.
    pub users: Vec<UserRecord>,
    /// Items, each id once; `popularity` is the number of events.
    pub items: Vec<CatalogItem>,
    /// Names of the event kinds, such as `rating`.
    pub kinds: Vec<String>,
    /// Events in file order, which breaks ties of time.
    pub events: Vec<EventRecord>,
    /// Lines that the reader could not use.
    pub bad_lines: BadLines,
}

/// One user.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct UserRecord {
    /// The user's name at the servers.
    pub id: String,
    /// Raw features by name.
    #[serde(default)]
    pub features: Features,
}

/// One event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventRecord {
    /// Index into [`Dataset::users`].
    pub user: u32,
    /// Index into [`Dataset::items`].
    pub item: u32,
    /// Index into [`Dataset::kinds`].
    pub kind: u16,
    /// Rating, or another weight of the event.
    pub value: f32,
    /// Seconds since the epoch.
    pub time: i64,
    /// Ordinal in the source file; written with 20 digits, so that it sorts as text too.
    pub event_id: u64,
}

impl Dataset {
    /// Puts a dataset together: counts each item's events into its popularity, and hashes the content.
    ///
    /// # Panics
    /// If an event's user, item or kind index is out of range.
    pub fn new(
        name: impl Into<String>,
        users: Vec<UserRecord>,
        mut items: Vec<CatalogItem>,
        kinds: Vec<String>,
        events: Vec<EventRecord>,
        bad_lines: BadLines,
    ) -> Self {
        for item in &mut items {
            item.popularity = 0;
        }
        for event in &events {
            items[event.item as usize].popularity += 1;
        }
        let mut dataset = Self {
            name: name.into(),
            hash: String::new(),
            users,
            items,
            kinds,
            events,
            bad_lines,
        };
        dataset.hash = files::content_hash(&dataset);
        dataset
    }

    /// Returns how many items have at least one event.
    pub fn items_with_events(&self) -> usize {
        self.items.iter().filter(|item| item.popularity > 0).count()
    }
}
