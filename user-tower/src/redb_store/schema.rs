//! The tables of a history file.

use redb::TableDefinition;

/// The version of the tables below.
pub(super) const VERSION: u64 = 1;

/// Facts about the file by name; `schema` is the [`VERSION`] that wrote it.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// Events by (user, time, event id): (item, kind, value, arrival), where the arrival counts the
/// user's events in the order in which they came.
pub(super) const EVENTS: TableDefinition<EventKey, EventRow> = TableDefinition::new("events");

/// The items that a user has seen: (user, item).
pub(super) const SEEN: TableDefinition<(&str, u64), ()> = TableDefinition::new("seen");

/// Counts by user: (events kept, items seen, events that ever came).
pub(super) const USERS: TableDefinition<&str, Counts> = TableDefinition::new("users");

/// Profiles by user, as JSON.
pub(super) const PROFILES: TableDefinition<&str, &[u8]> = TableDefinition::new("profiles");

/// (user, time, event id).
pub(super) type EventKey = (&'static str, i64, &'static str);
/// (item, kind, value, arrival).
pub(super) type EventRow = (u64, &'static str, f32, u64);
/// (events kept, items seen, events that ever came).
pub(super) type Counts = (u64, u64, u64);

/// The name of the user that comes right after `user`, where a range over `user`'s rows ends.
pub(super) fn next_name(user: &str) -> String {
    format!("{user}\0")
}
