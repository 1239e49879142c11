//! From the wire to words of the house, or the list of what is wrong with it.

use encoder::features::{Features, Value};
use generation::partition;
use proto::v1::{self as pb, feature_value::Kind, item_ref::Name};

use crate::{
    error::Error,
    history::{Event, Record, Write},
    token,
    user::{AsOf, Query},
};

mod copies;

/// The most events of one RecordEvents, and of one user's inline history.
const EVENTS_LIMIT: usize = 1_000;
/// The most users of one EmbedUsers.
const USERS_LIMIT: usize = 64;
/// The most items whose events one user is embedded without.
const WITHOUT_LIMIT: usize = 16;
/// The most events of one GetUser.
const NEWEST_LIMIT: usize = 1_000;
/// The events of a GetUser that names no number.
const NEWEST_DEFAULT: usize = 50;
/// The most features of one profile.
const FEATURES_LIMIT: usize = 256;
/// The most values of one feature.
const LIST_LIMIT: usize = 256;
/// The most bytes of a user's id, an event's id, its type, a feature's name, and a feature's text
/// or an item's key.
const USER_BYTES: usize = 256;
const EVENT_ID_BYTES: usize = 128;
const TYPE_BYTES: usize = 64;
const NAME_BYTES: usize = 128;
const TEXT_BYTES: usize = 4_096;
/// The most violations that an answer names.
const VIOLATIONS_LIMIT: usize = 20;

/// Reads the events of a RecordEvents.
pub(crate) fn records(events: Vec<pb::Event>) -> Result<Vec<Record>, Error> {
    let mut problems = Problems::default();
    problems.at_most("events", events.len(), EVENTS_LIMIT, "events");
    problems.finish()?;
    stored_events(events)
}

/// Reads one chunk of an ImportUsers; only the size of the message bounds it.
pub(crate) fn import(chunk: pb::ImportUsersRequest) -> Result<Write, Error> {
    let profiles = chunk.profiles.into_iter().enumerate();
    let profiles =
        profiles.map(|(i, user)| profile(&format!("profiles[{i}]."), user.user_id, user.features));
    Ok(Write {
        profiles: profiles.collect::<Result<_, _>>()?,
        records: stored_events(chunk.events)?,
        copies: copies::copies(chunk.users)?,
        arrives_after: copies::arrives_after(chunk.arrives_after)?,
        ..Write::default()
    })
}

/// Reads features that a user tower has stored, so they were checked once.
pub(crate) fn stored_features(features: pb::Features) -> Features {
    Problems::default().features("", features)
}

/// Reads the name of a stored user.
pub(crate) fn user(user: String) -> Result<String, Error> {
    let mut problems = Problems::default();
    problems.text(|| "user_id".to_owned(), &user, 1, USER_BYTES);
    problems.finish()?;
    Ok(user)
}

/// Reads a profile whose fields stand under `path`.
pub(crate) fn profile(
    path: &str,
    user: String,
    profile: Option<pb::Features>,
) -> Result<(String, Features), Error> {
    let mut problems = Problems::default();
    problems.text(|| format!("{path}user_id"), &user, 1, USER_BYTES);
    let features = problems.features(&format!("{path}profile"), profile.unwrap_or_default());
    problems.finish()?;
    Ok((user, features))
}

/// Reads the users of an EmbedUsers.
pub(crate) fn queries(users: Vec<pb::UserQuery>) -> Result<Vec<Query>, Error> {
    let mut problems = Problems::default();
    problems.at_most("users", users.len(), USERS_LIMIT, "users");
    problems.finish()?;
    let mut queries = Vec::with_capacity(users.len());
    for (i, user) in users.into_iter().enumerate() {
        let path = format!("users[{i}]");
        problems.text(|| format!("{path}.user_id"), &user.user_id, 0, USER_BYTES);
        let context = user.context.unwrap_or_default();
        let history = format!("{path}.context.history");
        problems.at_most(&history, context.history.len(), EVENTS_LIMIT, "events");
        queries.push(Query {
            wanted: problems.token(
                || format!("{path}.consistency_token"),
                &user.consistency_token,
                &user.user_id,
            ),
            as_of: user.as_of.map(|as_of| AsOf {
                arrived: as_of.arrived,
                time: as_of.time,
                history: as_of.history_version,
                seen: as_of.seen_version,
            }),
            user: user.user_id,
            features: problems.features(
                &format!("{path}.context.features"),
                context.features.unwrap_or_default(),
            ),
            events: context
                .history
                .into_iter()
                .take(EVENTS_LIMIT)
                .enumerate()
                .map(|(j, event)| problems.event(|| format!("{history}[{j}]"), event, Need::Item))
                .collect(),
            without: user.without,
        });
        let without = queries.last().map_or(0, |query| query.without.len());
        problems.at_most(&format!("{path}.without"), without, WITHOUT_LIMIT, "items");
    }
    problems.finish()?;
    Ok(queries)
}

/// Reads how many events a GetUser wants, of at most `keep`.
pub(crate) fn newest(request: &pb::GetUserRequest, keep: usize) -> Result<usize, Error> {
    let mut problems = Problems::default();
    problems.text(|| "user_id".to_owned(), &request.user_id, 1, USER_BYTES);
    let newest = match request.newest as usize {
        0 => NEWEST_DEFAULT,
        newest => newest,
    };
    problems.at_most("newest", newest, NEWEST_LIMIT, "events");
    problems.finish()?;
    Ok(newest.min(keep))
}

fn stored_events(events: Vec<pb::Event>) -> Result<Vec<Record>, Error> {
    let mut problems = Problems::default();
    let mut records = Vec::with_capacity(events.len());
    for (i, mut event) in events.into_iter().enumerate() {
        let path = || format!("events[{i}]");
        let user = std::mem::take(&mut event.user_id);
        problems.text(|| path() + ".user_id", &user, 1, USER_BYTES);
        let event = problems.event(path, event, Need::Key);
        records.push(Record { user, event });
    }
    problems.finish()?;
    Ok(records)
}

/// What an event must have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// An item.
    Item,
    /// An item, a time and an event id: what is stored has a key.
    Key,
}

/// What is wrong with a request.
#[derive(Default)]
pub(super) struct Problems {
    found: Vec<(String, String)>,
}

impl Problems {
    pub(super) fn add(&mut self, field: String, description: impl Into<String>) {
        if self.found.len() < VIOLATIONS_LIMIT {
            self.found.push((field, description.into()));
        }
    }

    pub(super) fn finish(&mut self) -> Result<(), Error> {
        match std::mem::take(&mut self.found) {
            none if none.is_empty() => Ok(()),
            some => Err(Error::Fields(some)),
        }
    }

    pub(super) fn at_most(&mut self, field: &str, found: usize, limit: usize, what: &str) {
        if found > limit {
            let description = format!("has {found} {what}, at most {limit} are allowed");
            self.add(field.to_owned(), description);
        }
    }

    pub(super) fn text(
        &mut self,
        field: impl Fn() -> String,
        text: &str,
        least: usize,
        most: usize,
    ) {
        if text.len() < least {
            self.add(field(), "must not be empty");
        } else if text.len() > most {
            let found = text.len();
            self.add(
                field(),
                format!("has {found} bytes, at most {most} are allowed"),
            );
        }
    }

    /// Reads a consistency token: when the last write arrived that the user's history must include.
    fn token(&mut self, field: impl Fn() -> String, token: &str, user: &str) -> u64 {
        self.text(&field, token, 0, token::BYTES_LIMIT);
        token::wanted(token, user).unwrap_or_else(|| {
            self.add(field(), "is no consistency token");
            0
        })
    }

    fn event(&mut self, path: impl Fn() -> String, event: pb::Event, need: Need) -> Event {
        let item = self.item(|| path() + ".item", event.item);
        let key = usize::from(need == Need::Key);
        self.text(
            || path() + ".event_id",
            &event.event_id,
            key,
            EVENT_ID_BYTES,
        );
        self.text(|| path() + ".type", &event.r#type, 0, TYPE_BYTES);
        if need == Need::Key && event.time <= 0 {
            let description = format!("is {}, must be seconds since 1970", event.time);
            self.add(path() + ".time", description);
        }
        if !event.value.is_finite() {
            self.add(
                path() + ".value",
                format!("is {}, must be finite", event.value),
            );
        }
        Event {
            time: event.time,
            event_id: event.event_id,
            item,
            kind: event.r#type,
            value: event.value,
        }
    }

    fn item(&mut self, field: impl Fn() -> String, item: Option<pb::ItemRef>) -> u64 {
        match item.and_then(|item| item.name) {
            Some(Name::Id(id)) => id,
            Some(Name::Key(key)) => {
                self.text(|| field() + ".key", &key, 1, TEXT_BYTES);
                partition::item_id(&key)
            }
            None => {
                self.add(field(), "must name an item by id or key");
                0
            }
        }
    }

    fn features(&mut self, path: &str, features: pb::Features) -> Features {
        self.at_most(path, features.values.len(), FEATURES_LIMIT, "features");
        let mut read = Features::new();
        for (name, value) in features.values.into_iter().take(FEATURES_LIMIT) {
            self.text(|| format!("{path}.values (a name)"), &name, 1, NAME_BYTES);
            if let Some(value) = self.value(path, &name, value) {
                read.insert(name, value);
            }
        }
        read
    }

    fn value(&mut self, path: &str, name: &str, value: pb::FeatureValue) -> Option<Value> {
        let field = || format!("{path}.values[{name:?}]");
        match value.kind {
            None => {
                self.add(field(), "must have a text, a number or a list");
                None
            }
            Some(Kind::Text(text)) => {
                self.text(field, &text, 0, TEXT_BYTES);
                Some(Value::Text(text))
            }
            Some(Kind::Number(number)) => {
                if !number.is_finite() {
                    self.add(field(), format!("is {number}, must be finite"));
                }
                Some(Value::Number(number))
            }
            Some(Kind::List(list)) => {
                self.at_most(&field(), list.values.len(), LIST_LIMIT, "values");
                for text in &list.values {
                    self.text(field, text, 0, TEXT_BYTES);
                }
                Some(Value::List(list.values))
            }
        }
    }
}

#[cfg(test)]
mod tests;
