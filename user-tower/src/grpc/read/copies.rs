//! Users as another store has them, from the wire.

use proto::v1 as pb;

use super::{Need, Problems, USER_BYTES};
use crate::{
    error::Error,
    history::{Arrival, Event, UserCopy},
    user,
};

/// How far ahead of this server's clock an arrival may be, in seconds: no clock that is kept at all is off by as much.
const AHEAD: i64 = 3_600;

/// Reads the users of a chunk; only the size of the message bounds it.
pub(super) fn copies(users: Vec<pb::StoredUser>) -> Result<Vec<UserCopy>, Error> {
    let mut problems = Problems::default();
    let latest = latest();
    let users = users.into_iter().enumerate();
    let copies = users.map(|(i, user)| problems.copy(&format!("users[{i}]"), user, latest));
    let copies = copies.collect();
    problems.finish()?;
    Ok(copies)
}

/// Reads after what a member's writes are to arrive.
pub(super) fn arrives_after(arrival: Arrival) -> Result<Arrival, Error> {
    let mut problems = Problems::default();
    problems.not_after("arrives_after".to_owned(), arrival, latest());
    problems.finish()?;
    Ok(arrival)
}

/// The latest arrival that is taken from elsewhere.
fn latest() -> Arrival {
    (user::now() + AHEAD) as Arrival * 1_000_000
}

impl Problems {
    fn copy(&mut self, path: &str, stored: pb::StoredUser, latest: Arrival) -> UserCopy {
        self.text(|| format!("{path}.user_id"), &stored.user_id, 1, USER_BYTES);
        let field = |name: &str| format!("{path}.{name}");
        self.as_many(
            field("events_arrived"),
            &stored.events_arrived,
            stored.events.len(),
        );
        self.as_many(
            field("seen_arrived"),
            &stored.seen_arrived,
            stored.seen.len(),
        );
        let events = stored.events.into_iter().zip(stored.events_arrived);
        let mut newest = stored.arrived;
        let mut noted = |arrived: Arrival| {
            newest = newest.max(arrived);
            arrived
        };
        let events: Vec<(Event, Arrival)> = events
            .enumerate()
            .map(|(j, (event, arrived))| {
                let event = self.event(|| format!("{path}.events[{j}]"), event, Need::Key);
                (event, noted(arrived))
            })
            .collect();
        let seen = stored.seen.into_iter().zip(stored.seen_arrived);
        let seen = seen.map(|(item, arrived)| (item, noted(arrived))).collect();
        let profile = stored.profile.map(|profile| {
            let features = self.features(&field("profile"), profile);
            (features, noted(stored.profile_arrived))
        });
        let deleted = noted(stored.deleted);
        self.not_after(path.to_owned(), newest, latest);
        UserCopy {
            user: stored.user_id,
            events,
            seen,
            profile,
            deleted,
            arrived: newest,
        }
    }

    fn not_after(&mut self, field: String, arrival: Arrival, latest: Arrival) {
        if arrival > latest {
            let description = format!("has an arrival of {arrival}, at most {latest} is allowed");
            self.add(field, description);
        }
    }

    fn as_many(&mut self, field: String, arrivals: &[Arrival], wanted: usize) {
        if arrivals.len() != wanted {
            let found = arrivals.len();
            self.add(field, format!("has {found} arrivals, must have {wanted}"));
        }
    }
}
