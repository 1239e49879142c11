//! Makes two copies of a user one.

use crate::{
    history::{Arrival, Tally, UserCopy},
    redb_store::{
        apply::Arriving,
        tables::{Tables, is_deleted, remove::Part},
    },
};

impl Tables<'_> {
    /// Makes what is stored of a user and a copy from elsewhere one.
    pub(super) fn merge(&mut self, copy: &UserCopy, tally: &mut Tally) -> Result<(), redb::Error> {
        let user = copy.user.as_str();
        let known = self.deleted_at(user)?;
        let deleted = known.max(copy.deleted);
        let mut changed = false;
        if deleted > known {
            let removed = self.remove(user, |part, arrived| match part {
                Part::Event(time) => is_deleted(deleted, time, arrived),
                Part::Seen | Part::Profile => arrived <= deleted,
            })?;
            changed = removed.users > 0;
            tally.removed.add(removed);
            self.deleted.insert(user, deleted)?;
        }
        let events = copy.events.iter().rev();
        let arriving: Vec<Arriving<'_>> = events
            .map(|(event, arrived)| Arriving {
                user,
                event,
                arrived: *arrived,
                is_copy: true,
                write: 0,
            })
            .collect();
        changed |= self.append(&arriving, std::slice::from_mut(tally))?;
        let stays = |arrived: Arrival| deleted == 0 || arrived > deleted;
        let mut new = 0;
        for &(item, arrived) in copy.seen.iter().filter(|(_, arrived)| stays(*arrived)) {
            new += u64::from(self.see(user, item, arrived)?);
        }
        if let Some((profile, arrived)) = &copy.profile
            && stays(*arrived)
            && self
                .profile_arrived(user)?
                .is_none_or(|known| *arrived > known)
        {
            self.put_profile(user, profile, *arrived)?;
            changed = true;
        }
        changed |= new > 0;
        let (kept, seen, last) = self.counts(user)?;
        let last = last.max(copy.arrived);
        // Whoever keeps what was made of the user as of the last arrival must see that there is more now.
        let last = if changed { tally.arrived } else { last };
        self.users.insert(user, (kept, seen + new, last))?;
        Ok(())
    }
}
