//! Brings a history file of an older schema to that of today.

use redb::{ReadableTable as _, TableDefinition, WriteTransaction};

use crate::{history::Arrival, redb_store::schema};

/// The items that a user has seen, in schema 1: (user, item).
pub(super) const SEEN_1: TableDefinition<(&str, u64), ()> = TableDefinition::new("seen");
/// Profiles by user, as JSON, in schema 1.
pub(super) const PROFILES_1: TableDefinition<&str, &[u8]> = TableDefinition::new("profiles");

/// Turns schema 1, which did not note when items and profiles arrived, into schema 2: they arrived `now`. It knew of no users
/// handed over, so everything is there by the MEMBERS of `epoch`.
///
/// The arrivals of its events are small numbers, so they count as older than all others.
pub(super) fn from_1(
    transaction: &WriteTransaction,
    now: Arrival,
    epoch: u64,
) -> Result<(), redb::Error> {
    let mut seen = transaction.open_table(schema::SEEN)?;
    for row in transaction.open_table(SEEN_1)?.iter()? {
        seen.insert(row?.0.value(), now)?;
    }
    let mut users = transaction.open_table(schema::USERS)?;
    let mut profiles = transaction.open_table(schema::PROFILES)?;
    for row in transaction.open_table(PROFILES_1)?.iter()? {
        let (user, json) = row?;
        profiles.insert(user.value(), (now, json.value()))?;
        if users.get(user.value())?.is_none() {
            users.insert(user.value(), (0, 0, now))?;
        }
    }
    transaction.delete_table(SEEN_1)?;
    transaction.delete_table(PROFILES_1)?;
    let mut meta = transaction.open_table(schema::META)?;
    meta.insert(schema::ARRIVED, now)?;
    meta.insert(schema::SETTLED, epoch)?;
    meta.insert(schema::SCHEMA, schema::VERSION)?;
    Ok(())
}
