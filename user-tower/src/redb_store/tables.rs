//! What a write does to the tables, user by user: events and profiles here, copies in `merge`, removals in `remove`.

mod merge;
mod remove;

use encoder::features::Features;
use redb::{ReadableTable as _, Table, WriteTransaction};

use crate::{
    history::{Arrival, Tally, Write},
    redb_store::{
        apply::Arriving,
        schema::{self, Counts, EventKey, EventRow},
    },
};

/// The tables of one transaction.
pub(super) struct Tables<'t> {
    events: Table<'t, EventKey, EventRow>,
    seen: Table<'t, (&'static str, u64), Arrival>,
    users: Table<'t, &'static str, Counts>,
    profiles: Table<'t, &'static str, (Arrival, &'static [u8])>,
    deleted: Table<'t, &'static str, Arrival>,
    keep: u64,
}

impl<'t> Tables<'t> {
    /// Opens them; of a user's events the newest `keep` are kept.
    pub(super) fn open(
        transaction: &'t WriteTransaction,
        keep: usize,
    ) -> Result<Self, redb::Error> {
        Ok(Self {
            events: transaction.open_table(schema::EVENTS)?,
            seen: transaction.open_table(schema::SEEN)?,
            users: transaction.open_table(schema::USERS)?,
            profiles: transaction.open_table(schema::PROFILES)?,
            deleted: transaction.open_table(schema::DELETED)?,
            keep: keep as u64,
        })
    }

    /// Appends events of one user, the newest first; returns whether anything stored changed but the last arrival.
    pub(super) fn append(
        &mut self,
        arriving: &[Arriving<'_>],
        tallies: &mut [Tally],
    ) -> Result<bool, redb::Error> {
        let Some(user) = arriving.first().map(|arriving| arriving.user) else {
            return Ok(false);
        };
        let deleted = self.deleted_at(user)?;
        let mut changed = false;
        let (mut kept, mut seen, mut last) = self.counts(user)?;
        // The oldest event kept, known only while as many are kept as may be.
        let mut oldest: Option<(i64, String)> = None;
        for arriving in arriving {
            let (event, arrived) = (arriving.event, arriving.arrived);
            let tally = &mut tallies[arriving.write];
            let (time, event_id) = event.key();
            last = last.max(arrived);
            if is_deleted(deleted, event.time, arrived) {
                tally.duplicates += 1;
                continue;
            }
            if kept >= self.keep && oldest.is_none() {
                oldest = self.oldest(user)?;
            }
            let too_old = oldest
                .as_ref()
                .is_some_and(|(at, id)| (time, event_id) < (*at, id.as_str()));
            let known = match too_old {
                true => None,
                false => self.known(user, arriving)?,
            };
            if known.is_some_and(|known| !arriving.is_copy || arrived <= known) {
                tally.duplicates += 1;
                continue;
            }
            let is_new_item = self.see(user, event.item, arrived)?;
            seen += u64::from(is_new_item);
            changed = true;
            if known.is_some() {
                // Of two copies of an event the later arrival counts, so that copies agree on what a deletion leaves.
                self.events.insert((user, time, event_id), arriving.row())?;
                tally.duplicates += 1;
                continue;
            }
            if too_old {
                match is_new_item {
                    true => tally.recorded += 1,
                    false => tally.duplicates += 1,
                }
                continue;
            }
            self.events.insert((user, time, event_id), arriving.row())?;
            tally.recorded += 1;
            kept += 1;
            if kept > self.keep
                && let Some((time, event_id)) = oldest.take()
            {
                self.events.remove((user, time, event_id.as_str()))?;
                kept -= 1;
            }
        }
        self.users.insert(user, (kept, seen, last))?;
        Ok(changed)
    }

    /// Does what a write wants beside adding events.
    pub(super) fn change(&mut self, write: &Write, tally: &mut Tally) -> Result<(), redb::Error> {
        for copy in &write.copies {
            self.merge(copy, tally)?;
        }
        for (user, profile) in &write.profiles {
            self.put_profile(user, profile, tally.arrived)?;
            self.touch(user, tally.arrived)?;
        }
        for (user, removal) in &write.removals {
            let removed = self.remove_as(user, *removal, tally.arrived)?;
            tally.removed.add(removed);
        }
        Ok(())
    }

    /// Notes that an event with an item arrived; returns whether the item is new to the user.
    fn see(&mut self, user: &str, item: u64, arrived: Arrival) -> Result<bool, redb::Error> {
        let known = self.seen.get((user, item))?.map(|known| known.value());
        if known.is_none_or(|known| known < arrived) {
            self.seen.insert((user, item), arrived)?;
        }
        Ok(known.is_none())
    }

    fn put_profile(
        &mut self,
        user: &str,
        profile: &Features,
        arrived: Arrival,
    ) -> Result<(), redb::Error> {
        let json = serde_json::to_vec(profile)
            .map_err(|cause| redb::Error::Corrupted(format!("a profile is not JSON: {cause}")))?;
        self.profiles.insert(user, (arrived, json.as_slice()))?;
        Ok(())
    }

    /// Notes that a write for a user arrived.
    fn touch(&mut self, user: &str, arrived: Arrival) -> Result<(), redb::Error> {
        let (kept, seen, last) = self.counts(user)?;
        self.users.insert(user, (kept, seen, last.max(arrived)))?;
        Ok(())
    }

    fn counts(&self, user: &str) -> Result<Counts, redb::Error> {
        let counts = self.users.get(user)?;
        Ok(counts.map_or_else(Counts::default, |counts| counts.value()))
    }

    /// When the profile arrived, if there is one.
    fn profile_arrived(&self, user: &str) -> Result<Option<Arrival>, redb::Error> {
        let profile = self.profiles.get(user)?;
        Ok(profile.map(|profile| profile.value().0))
    }

    /// When the user was last deleted; 0 means never.
    fn deleted_at(&self, user: &str) -> Result<Arrival, redb::Error> {
        let deleted = self.deleted.get(user)?;
        Ok(deleted.map_or(0, |deleted| deleted.value()))
    }

    /// When an event arrived, if it is stored.
    fn known(&self, user: &str, arriving: &Arriving<'_>) -> Result<Option<Arrival>, redb::Error> {
        let (time, event_id) = arriving.event.key();
        let row = self.events.get((user, time, event_id))?;
        Ok(row.map(|row| row.value().3))
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

/// Whether an event is of before its user was deleted, by when it arrived or by its time.
fn is_deleted(deleted: Arrival, time: i64, arrived: Arrival) -> bool {
    deleted > 0 && (arrived <= deleted || time <= (deleted / 1_000_000) as i64)
}
