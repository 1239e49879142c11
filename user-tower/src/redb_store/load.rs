//! Reads users from the tables.

use redb::ReadTransaction;

use crate::{
    history::{Event, Page, Selection, UserCopy},
    redb_store::schema,
};

/// About how many bytes of users a page has, and how many users it looks at.
const PAGE_BYTES: usize = 256 * 1024;
const PAGE_USERS: usize = 4_096;

/// Reads the newest `keep` events, the seen items and the profile of `user`, as of one commit.
pub(super) fn user(
    transaction: &ReadTransaction,
    user: &str,
    keep: usize,
) -> Result<UserCopy, redb::Error> {
    let next = schema::next_name(user);
    let events = transaction.open_table(schema::EVENTS)?;
    let rows = events.range((user, i64::MIN, "")..(next.as_str(), i64::MIN, ""))?;
    let mut newest = Vec::new();
    for row in rows.rev().take(keep) {
        let (key, row) = row?;
        let (_, time, event_id) = key.value();
        let (item, kind, value, arrived) = row.value();
        let event = Event {
            time,
            event_id: event_id.to_owned(),
            item,
            kind: kind.to_owned(),
            value,
        };
        newest.push((event, arrived));
    }
    newest.reverse();

    let mut seen = Vec::new();
    let rows = transaction.open_table(schema::SEEN)?;
    for row in rows.range((user, 0)..=(user, u64::MAX))? {
        let (key, arrived) = row?;
        seen.push((key.value().1, arrived.value()));
    }

    let profiles = transaction.open_table(schema::PROFILES)?;
    let profile = profiles.get(user)?.map(|row| {
        let (arrived, json) = row.value();
        parse(json).map(|profile| (profile, arrived))
    });
    let deleted = transaction.open_table(schema::DELETED)?.get(user)?;
    let counts = transaction.open_table(schema::USERS)?.get(user)?;
    Ok(UserCopy {
        user: user.to_owned(),
        events: newest,
        seen,
        profile: profile.transpose()?,
        deleted: deleted.map_or(0, |arrived| arrived.value()),
        arrived: counts.map_or(0, |counts| counts.value().2),
    })
}

/// Reads the next users that are wanted, all that is kept of them.
pub(super) fn page(
    transaction: &ReadTransaction,
    selection: &Selection,
) -> Result<Page, redb::Error> {
    let users = transaction.open_table(schema::USERS)?;
    let from = match selection.after.as_str() {
        "" => String::new(),
        after => schema::next_name(after),
    };
    let mut page = Page::default();
    let mut bytes = 0;
    for (looked_at, row) in users.range(from.as_str()..)?.enumerate() {
        let (name, counts) = row?;
        let (name, (_, _, arrived)) = (name.value(), counts.value());
        if arrived > selection.arrived_after && (selection.wanted)(name) {
            let user = user(transaction, name, usize::MAX)?;
            bytes += user.bytes();
            page.users.push(user);
        }
        if bytes >= PAGE_BYTES || looked_at + 1 >= PAGE_USERS {
            page.next = Some(name.to_owned());
            break;
        }
    }
    Ok(page)
}

fn parse(json: &[u8]) -> Result<encoder::features::Features, redb::Error> {
    serde_json::from_slice(json)
        .map_err(|cause| redb::Error::Corrupted(format!("a profile is not JSON: {cause}")))
}
