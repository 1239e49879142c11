//! What a model sees of one user: what is stored, and what the caller adds.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use encoder::features::{self, Features};

use crate::history::{Arrival, Event, History};

/// How many events models see.
const SEEN_BY_MODELS: usize = 100;
/// The time of an event for which the caller gives none; what is stored always has one.
const NOT_GIVEN: i64 = 0;

/// Who is to be embedded.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Query {
    /// The stored user; empty for one that the caller describes alone.
    pub(crate) user: String,
    /// Features that override those of the profile.
    pub(crate) features: Features,
    /// Events after those stored, oldest first.
    pub(crate) events: Vec<Event>,
    /// When the last write arrived that the stored history must include; 0 asks for nothing.
    pub(crate) wanted: Arrival,
    /// The moment to see; the present, if it is none.
    pub(crate) as_of: Option<AsOf>,
    /// Items whose events the model does not see.
    pub(crate) without: Vec<u64>,
}

/// A moment of a user, and what was known then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AsOf {
    /// When the last write arrived that is seen.
    pub(crate) arrived: Arrival,
    /// The present.
    pub(crate) time: i64,
    /// The [`Whole::version`].
    pub(crate) history: u64,
    /// A hash of the items seen.
    pub(crate) seen: u64,
}

/// A user, whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Whole {
    /// What the model sees.
    pub(crate) input: features::User,
    /// Every item seen, ascending.
    pub(crate) seen: Vec<u64>,
    /// A hash of the newest events, as many as models see; 0 if there are none.
    pub(crate) version: u64,
    /// Whether anything but events is known of the user.
    pub(crate) has_profile: bool,
    /// Whether a write that was asked for is not included.
    pub(crate) lacks: bool,
    /// The number of the last write for the user, if the model sees nothing but what was stored then, whenever it is
    /// asked. None for a user never heard of, for what a caller added to, and while an event lies in the future.
    pub(crate) as_stored: Option<u64>,
    /// Whether events are left out that stay seen.
    pub(crate) is_cut: bool,
    /// When the last write arrived that is seen, and the present.
    moment: (Arrival, i64),
}

impl Whole {
    /// Puts together what is `stored` and what the query adds, as of `now`; later times, and those that the caller does
    /// not give, count as `now`.
    pub(crate) fn new(query: Query, stored: &Arc<History>, now: i64) -> Self {
        let plain = query.features.is_empty()
            && query.events.is_empty()
            && query.without.is_empty()
            && query.as_of.is_none();
        let past = stored.events.last().is_none_or(|event| event.time <= now);
        let arrived = (plain && past && !query.user.is_empty()).then_some(stored.arrived);
        let mut profile = stored.profile.clone().unwrap_or_default();
        profile.extend(query.features);
        let mut seen = stored.seen.clone();
        if !query.events.is_empty() {
            seen.extend(query.events.iter().map(|event| event.item));
            seen.sort_unstable();
            seen.dedup();
        }
        let events = || stored.events.iter().chain(&query.events);
        // Older ones are dropped as new ones come, so a moment is not known by them.
        let older = (stored.events.len() + query.events.len()).saturating_sub(SEEN_BY_MODELS);
        Self {
            version: version(events().skip(older)),
            seen,
            has_profile: !profile.is_empty(),
            lacks: query.wanted > stored.arrived,
            as_stored: arrived.filter(|arrived| *arrived > 0),
            input: features::User {
                id: query.user,
                features: profile,
                history: events()
                    .filter(|event| !query.without.contains(&event.item))
                    .map(|event| event.as_seen(now))
                    .collect(),
                time: Some(now),
            },
            is_cut: !query.without.is_empty(),
            moment: (stored.arrived, now),
        }
    }

    /// The moment that is seen.
    pub(crate) fn as_of(&self) -> AsOf {
        let (arrived, time) = self.moment;
        AsOf {
            arrived,
            time,
            history: self.version,
            seen: items(&self.seen),
        }
    }
}

impl Event {
    fn as_seen(&self, now: i64) -> features::Event {
        features::Event {
            item: self.item,
            kind: self.kind.clone(),
            value: self.value,
            time: match self.time {
                NOT_GIVEN => now,
                time => time.min(now),
            },
        }
    }
}

/// The present, in seconds since the epoch.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

/// The first 8 bytes of a hash.
fn first_bytes(hasher: &blake3::Hasher) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// A hash of items, in order.
fn items(seen: &[u64]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for item in seen {
        hasher.update(&item.to_le_bytes());
    }
    first_bytes(&hasher)
}

/// A hash of the keys and items of `events`, in order; 0 for none.
fn version<'a>(events: impl Iterator<Item = &'a Event>) -> u64 {
    let mut events = events.peekable();
    if events.peek().is_none() {
        return 0;
    }
    let mut hasher = blake3::Hasher::new();
    for event in events {
        let numbers = [
            event.time.to_le_bytes(),
            event.item.to_le_bytes(),
            (event.event_id.len() as u64).to_le_bytes(),
        ];
        hasher.update(numbers.as_flattened());
        hasher.update(event.event_id.as_bytes());
    }
    first_bytes(&hasher)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time: i64, item: u64) -> Event {
        Event {
            time,
            event_id: time.to_string(),
            item,
            kind: "rating".to_owned(),
            value: 4.0,
        }
    }

    fn stored() -> Arc<History> {
        Arc::new(History {
            arrived: 3,
            events: vec![event(1, 30), event(2, 10)],
            seen: vec![10, 20, 30],
            profile: Some(Features::from([
                ("gender".to_owned(), "F".into()),
                ("age".to_owned(), "25".into()),
            ])),
        })
    }

    #[test]
    fn what_the_caller_adds_comes_last_and_overrides() {
        let query = Query {
            user: "7".to_owned(),
            features: Features::from([("age".to_owned(), "35".into())]),
            events: vec![event(3, 15)],
            wanted: 3,
            ..Query::default()
        };
        let whole = Whole::new(query, &stored(), 100);
        let items: Vec<u64> = whole.input.history.iter().map(|event| event.item).collect();
        assert_eq!(items, [30, 10, 15]);
        assert_eq!(whole.seen, [10, 15, 20, 30]);
        assert_eq!(whole.input.features["age"], "35".into());
        assert_eq!(whole.input.features["gender"], "F".into());
        assert!(!whole.lacks);
    }

    #[test]
    fn a_write_that_has_not_arrived_is_lacking() {
        let query = Query {
            wanted: 4,
            ..Query::default()
        };
        assert!(Whole::new(query, &stored(), 100).lacks);
    }

    #[test]
    fn the_version_says_which_events_the_model_saw() {
        let version = |events: Vec<Event>| {
            let query = Query {
                events,
                ..Query::default()
            };
            Whole::new(query, &stored(), 100).version
        };
        assert_eq!(version(vec![]), version(vec![]));
        assert_ne!(version(vec![]), version(vec![event(3, 15)]));
        assert_ne!(version(vec![event(3, 16)]), version(vec![event(3, 15)]));
        let nobody = Whole::new(Query::default(), &Arc::default(), 100);
        assert_eq!((nobody.version, nobody.has_profile), (0, false));
    }

    #[test]
    fn the_future_counts_as_now() {
        let whole = Whole::new(Query::default(), &stored(), 1);
        let times: Vec<i64> = whole.input.history.iter().map(|event| event.time).collect();
        assert_eq!(times, [1, 1]);
        assert_eq!(whole.input.time, Some(1));
    }

    #[test]
    fn a_stored_user_is_another_input_at_another_time() {
        let at = |now| Whole::new(Query::default(), &stored(), now);
        assert_eq!(at(100).input.time, Some(100));
        assert_ne!(at(100).input, at(101).input);
        assert_eq!(at(100).version, at(101).version);
    }

    #[test]
    fn what_is_stored_is_seen_alike_until_the_next_write() {
        let as_stored = |query, now| Whole::new(query, &stored(), now).as_stored;
        let query = || Query {
            user: "7".to_owned(),
            ..Query::default()
        };
        assert_eq!(as_stored(query(), 100), Some(3));
        let with_event = Query {
            events: vec![event(3, 15)],
            ..query()
        };
        let with_feature = Query {
            features: Features::from([("age".to_owned(), "35".into())]),
            ..query()
        };
        for added_to in [with_event, with_feature, Query::default()] {
            assert_eq!(as_stored(added_to, 100), None);
        }
        // The event of time 2 counts as one of time 1 now.
        assert_eq!(as_stored(query(), 1), None);
        let never_heard_of = Whole::new(query(), &Arc::default(), 100);
        assert_eq!(never_heard_of.as_stored, None);
    }

    #[test]
    fn events_of_items_left_out_are_not_seen_by_the_model_and_stay_seen() {
        let query = Query {
            user: "7".to_owned(),
            without: vec![30],
            ..Query::default()
        };
        let whole = Whole::new(query, &stored(), 100);
        let items: Vec<u64> = whole.input.history.iter().map(|event| event.item).collect();
        assert_eq!(items, [10]);
        assert_eq!((whole.seen, whole.as_stored), (vec![10, 20, 30], None));
    }

    #[test]
    fn an_event_without_a_time_counts_as_now() {
        let query = Query {
            events: vec![event(0, 15)],
            ..Query::default()
        };
        let whole = Whole::new(query, &stored(), 100);
        let times: Vec<i64> = whole.input.history.iter().map(|event| event.time).collect();
        assert_eq!(times, [1, 2, 100]);
    }
}
