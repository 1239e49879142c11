//! The tables of a history file.

use redb::TableDefinition;

use crate::history::Arrival;

/// The version of the tables below.
pub(super) const VERSION: u64 = 2;

/// Facts about the file by name, those below.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// The [`VERSION`] that wrote the file.
pub(super) const SCHEMA: &str = "schema";
/// When the last write arrived.
pub(super) const ARRIVED: &str = "arrived";
/// The greatest epoch of MEMBERS noted as settled.
pub(super) const SETTLED: &str = "settled";

/// Events by (user, time, event id): (item, kind, value, arrival).
pub(super) const EVENTS: TableDefinition<EventKey, EventRow> = TableDefinition::new("events");

/// When the last event with an item that a user has seen arrived: (user, item).
pub(super) const SEEN: TableDefinition<(&str, u64), Arrival> = TableDefinition::new("seen_items");

/// Every user with anything stored, or deleted: (events kept, items seen, arrival of the last write).
pub(super) const USERS: TableDefinition<&str, Counts> = TableDefinition::new("users");

/// Profiles by user: (arrival, JSON).
pub(super) const PROFILES: TableDefinition<&str, (Arrival, &[u8])> =
    TableDefinition::new("user_profiles");

/// When a user was last deleted.
pub(super) const DELETED: TableDefinition<&str, Arrival> = TableDefinition::new("deleted");

/// (user, time, event id).
pub(super) type EventKey = (&'static str, i64, &'static str);
/// (item, kind, value, arrival).
pub(super) type EventRow = (u64, &'static str, f32, Arrival);
/// (events kept, items seen, arrival of the last write).
pub(super) type Counts = (u64, u64, Arrival);

/// The name of the user that comes right after `user`, where a range over `user`'s rows ends.
pub(super) fn next_name(user: &str) -> String {
    format!("{user}\0")
}
