//! Applies writes to the tables of one transaction.

use redb::{ReadableTable as _, Table, WriteTransaction};

use crate::{
    history::{Event, Tally, Write},
    redb_store::schema::{self, Counts, EventKey, EventRow},
};

/// Applies `writes` as if one after another; returns what became of each.
pub(super) fn apply(
    transaction: &WriteTransaction,
    writes: &[&Write],
    keep: usize,
) -> Result<Vec<Tally>, redb::Error> {
    let mut tables = Tables {
        events: transaction.open_table(schema::EVENTS)?,
        seen: transaction.open_table(schema::SEEN)?,
        users: transaction.open_table(schema::USERS)?,
        keep: keep as u64,
    };
    let mut tallies = vec![Tally::default(); writes.len()];
    for events in by_user(writes).chunk_by(|a, b| a.user == b.user) {
        tables.append(events, &mut tallies)?;
    }
    let mut profiles = transaction.open_table(schema::PROFILES)?;
    for (user, profile) in writes.iter().flat_map(|write| &write.profiles) {
        let json = serde_json::to_vec(profile)
            .map_err(|cause| redb::Error::Corrupted(format!("a profile is not JSON: {cause}")))?;
        profiles.insert(user.as_str(), json.as_slice())?;
    }
    Ok(tallies)
}

/// An event, whose it is, and which write brought it.
struct Arrival<'a> {
    user: &'a str,
    event: &'a Event,
    write: usize,
}

/// Groups the events by user, the newest first, those of one key in the order of the writes.
///
/// The newest first, because then those that are too old to be kept are never stored at all.
fn by_user<'a>(writes: &[&'a Write]) -> Vec<Arrival<'a>> {
    let mut arrivals: Vec<Arrival> = Vec::new();
    for (number, write) in writes.iter().enumerate() {
        arrivals.extend(write.records.iter().map(|record| Arrival {
            user: &record.user,
            event: &record.event,
            write: number,
        }));
    }
    arrivals.sort_by(|a, b| a.user.cmp(b.user).then(b.event.key().cmp(&a.event.key())));
    arrivals
}

struct Tables<'t> {
    events: Table<'t, EventKey, EventRow>,
    seen: Table<'t, (&'static str, u64), ()>,
    users: Table<'t, &'static str, Counts>,
    keep: u64,
}

impl Tables<'_> {
    /// Appends events of one user, the newest first.
    fn append(
        &mut self,
        arrivals: &[Arrival<'_>],
        tallies: &mut [Tally],
    ) -> Result<(), redb::Error> {
        let Some(user) = arrivals.first().map(|arrival| arrival.user) else {
            return Ok(());
        };
        let stored = self.users.get(user)?.map(|counts| counts.value());
        let (mut kept, mut seen, mut arrived) = stored.unwrap_or_default();
        // The oldest event kept, known only while as many are kept as may be.
        let mut oldest: Option<(i64, String)> = None;
        for Arrival { event, write, .. } in arrivals {
            let (time, event_id) = event.key();
            if kept >= self.keep && oldest.is_none() {
                oldest = self.oldest(user)?;
            }
            let too_old = oldest
                .as_ref()
                .is_some_and(|(at, id)| (time, event_id) < (*at, id.as_str()));
            if !too_old && self.events.get((user, time, event_id))?.is_some() {
                tallies[*write].duplicates += 1;
                continue;
            }
            let is_new_item = self.seen.insert((user, event.item), ())?.is_none();
            seen += u64::from(is_new_item);
            if too_old {
                match is_new_item {
                    true => tallies[*write].recorded += 1,
                    false => tallies[*write].duplicates += 1,
                }
                continue;
            }
            let row = (event.item, event.kind.as_str(), event.value, arrived);
            self.events.insert((user, time, event_id), row)?;
            tallies[*write].recorded += 1;
            arrived += 1;
            kept += 1;
            if kept > self.keep
                && let Some((time, event_id)) = oldest.take()
            {
                self.events.remove((user, time, event_id.as_str()))?;
                kept -= 1;
            }
        }
        if stored != Some((kept, seen, arrived)) {
            self.users.insert(user, (kept, seen, arrived))?;
        }
        Ok(())
    }

    fn oldest(&self, user: &str) -> Result<Option<(i64, String)>, redb::Error> {
        let next = schema::next_name(user);
        let mut rows = self
            .events
            .range((user, i64::MIN, "")..(next.as_str(), i64::MIN, ""))?;
        let Some(row) = rows.next() else {
            return Ok(None);
        };
        let (key, _) = row?;
        let (_, time, event_id) = key.value();
        Ok(Some((time, event_id.to_owned())))
    }
}
