//! Removes what is stored of a user, or a part of it.

use crate::{
    history::{Arrival, Removal, Removed},
    redb_store::{schema, tables::Tables},
};

/// A part of what is stored of a user.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// An event of this time.
    Event(i64),
    /// An item seen.
    Seen,
    /// The profile.
    Profile,
}

impl Tables<'_> {
    /// Removes something of a user, as of `now`.
    pub(super) fn remove_as(
        &mut self,
        user: &str,
        removal: Removal,
        now: Arrival,
    ) -> Result<Removed, redb::Error> {
        match removal {
            Removal::Delete => {
                let removed = self.remove(user, |_, _| true)?;
                self.deleted.insert(user, now)?;
                self.users.insert(user, (0, 0, now))?;
                Ok(removed)
            }
            Removal::Forget => {
                let mut removed = self.remove(user, |_, _| true)?;
                self.deleted.remove(user)?;
                let known = self.users.remove(user)?.is_some();
                removed.users = u64::from(known);
                Ok(removed)
            }
            Removal::Older { time, arrived } => {
                let removed = self.remove(user, |what, at| match what {
                    Part::Event(of) => of < time,
                    Part::Seen => at < arrived,
                    Part::Profile => false,
                })?;
                if removed.users > 0 {
                    self.touch(user, now)?;
                }
                Ok(removed)
            }
        }
    }

    /// Removes the parts of a user of which `goes`, given when they arrived, says so.
    pub(super) fn remove(
        &mut self,
        user: &str,
        goes: impl Fn(Part, Arrival) -> bool,
    ) -> Result<Removed, redb::Error> {
        let mut removed = Removed::default();
        let next = schema::next_name(user);
        let events = (user, i64::MIN, "")..(next.as_str(), i64::MIN, "");
        self.events.retain_in(events, |(_, time, _), row| {
            let stays = !goes(Part::Event(time), row.3);
            removed.events += u64::from(!stays);
            stays
        })?;
        let seen = (user, 0)..=(user, u64::MAX);
        self.seen.retain_in(seen, |_, arrived| {
            let stays = !goes(Part::Seen, arrived);
            removed.seen += u64::from(!stays);
            stays
        })?;
        let profile = self.profile_arrived(user)?;
        if profile.is_some_and(|arrived| goes(Part::Profile, arrived)) {
            self.profiles.remove(user)?;
            removed.profiles = 1;
        }
        removed.users = u64::from(removed.events + removed.seen + removed.profiles > 0);
        if removed.users > 0 {
            let (kept, seen, last) = self.counts(user)?;
            let kept = kept.saturating_sub(removed.events);
            let seen = seen.saturating_sub(removed.seen);
            self.users.insert(user, (kept, seen, last))?;
        }
        Ok(removed)
    }
}
