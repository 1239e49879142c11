//! Reads one user from the tables.

use redb::{Database, ReadableDatabase as _};

use crate::{
    history::{Event, History},
    redb_store::schema,
};

/// Reads the newest `keep` events, the seen items and the profile of `user`, as of one commit.
pub(super) fn history(
    database: &Database,
    user: &str,
    keep: usize,
) -> Result<History, redb::Error> {
    let transaction = database.begin_read()?;
    let next = schema::next_name(user);

    let events = transaction.open_table(schema::EVENTS)?;
    let rows = events.range((user, i64::MIN, "")..(next.as_str(), i64::MIN, ""))?;
    let mut newest = Vec::new();
    for row in rows.rev().take(keep) {
        let (key, row) = row?;
        let (_, time, event_id) = key.value();
        let (item, kind, value, _) = row.value();
        newest.push(Event {
            time,
            event_id: event_id.to_owned(),
            item,
            kind: kind.to_owned(),
            value,
        });
    }
    newest.reverse();

    let mut seen = Vec::new();
    let rows = transaction.open_table(schema::SEEN)?;
    for row in rows.range((user, 0)..=(user, u64::MAX))? {
        seen.push(row?.0.value().1);
    }

    let profiles = transaction.open_table(schema::PROFILES)?;
    let profile = profiles.get(user)?.map(|json| parse(json.value()));
    Ok(History {
        events: newest,
        seen,
        profile: profile.transpose()?,
    })
}

fn parse(json: &[u8]) -> Result<encoder::features::Features, redb::Error> {
    serde_json::from_slice(json)
        .map_err(|cause| redb::Error::Corrupted(format!("a profile is not JSON: {cause}")))
}
