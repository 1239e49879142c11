//! From words of the house to the wire.

use encoder::features::{Features, Value};
use generation::manifest::Manifest;
use proto::v1::{self as pb, feature_value::Kind, item_ref::Name};

use crate::{
    batcher::Embedded,
    history::{Arrival, Event, History, UserCopy},
    user::{AsOf, Whole},
};

/// An embedded user, without the parts that are only sent when they are asked for.
pub(crate) fn embedding(user: Whole, embedded: Embedded, space: &str) -> pb::UserEmbedding {
    let attention = embedded.attention.map(|attention| pb::Attention {
        f32: little_endian(&attention.values),
        items: attention.items,
    });
    pb::UserEmbedding {
        interests: Some(pb::Vectors {
            f32: little_endian(&embedded.interests).into(),
            dim: embedded.dim as u32,
            space: space.to_owned(),
        }),
        weights: embedded.weights,
        seen: user.seen,
        history_version: user.version,
        cold_start: embedded.cold && !user.has_profile,
        stale_history: user.lacks,
        attention,
        ..pb::UserEmbedding::default()
    }
}

/// A moment of a user.
pub(crate) fn as_of(as_of: AsOf) -> pb::AsOf {
    pb::AsOf {
        arrived: as_of.arrived,
        time: as_of.time,
        history_version: as_of.history,
        seen_version: as_of.seen,
    }
}

fn little_endian(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// A stored user with its `newest` events.
pub(crate) fn user(user: &str, history: &History, newest: usize) -> pb::GetUserResponse {
    let from = history.events.len().saturating_sub(newest);
    pb::GetUserResponse {
        profile: history.profile.as_ref().map(features),
        history: history.events[from..]
            .iter()
            .map(|stored| event(user, stored))
            .collect(),
        seen_items: history.seen.len() as u64,
    }
}

/// Users as stored, in messages of a bounded size: a user with much is sent in several parts.
pub(crate) fn pages(users: Vec<UserCopy>, arrived: Arrival) -> Vec<pb::ExportUsersResponse> {
    let mut messages = vec![pb::ExportUsersResponse::default()];
    let mut bytes = 0;
    for part in users.into_iter().flat_map(split) {
        let more = part.bytes();
        if bytes > 0 && bytes + more > MESSAGE_BYTES {
            messages.push(pb::ExportUsersResponse::default());
            bytes = 0;
        }
        bytes += more;
        if let Some(last) = messages.last_mut() {
            last.users.push(stored(part));
        }
    }
    for message in &mut messages {
        message.arrived = arrived;
    }
    messages
}

/// About the bytes of users in one message, and the most events and items seen in one part of a user: far below the 1 MiB that
/// a message may have.
const MESSAGE_BYTES: usize = 256 * 1024;
const PART_EVENTS: usize = 500;
const PART_SEEN: usize = 10_000;

/// Splits a user into parts, which are the user again when they are put together; the last has the profile and the arrivals.
fn split(mut user: UserCopy) -> Vec<UserCopy> {
    let mut parts = Vec::new();
    while user.events.len() > PART_EVENTS || user.seen.len() > PART_SEEN {
        let events = user.events.len().saturating_sub(PART_EVENTS);
        let seen = user.seen.len().saturating_sub(PART_SEEN);
        parts.push(UserCopy {
            user: user.user.clone(),
            events: user.events.split_off(events),
            seen: user.seen.split_off(seen),
            ..UserCopy::default()
        });
    }
    parts.push(user);
    parts
}

fn stored(copy: UserCopy) -> pb::StoredUser {
    let (profile, profile_arrived) = copy.profile.unzip();
    pb::StoredUser {
        events: copy
            .events
            .iter()
            .map(|(stored, _)| event("", stored))
            .collect(),
        events_arrived: copy.events.iter().map(|(_, arrived)| *arrived).collect(),
        seen: copy.seen.iter().map(|(item, _)| *item).collect(),
        seen_arrived: copy.seen.iter().map(|(_, arrived)| *arrived).collect(),
        profile: profile.as_ref().map(features),
        profile_arrived: profile_arrived.unwrap_or_default(),
        deleted: copy.deleted,
        arrived: copy.arrived,
        user_id: copy.user,
    }
}

/// A generation in short.
pub(crate) fn generation(manifest: &Manifest, serving: Option<&str>) -> pb::Generation {
    pb::Generation {
        id: manifest.id.clone(),
        space: manifest.space.clone(),
        items: manifest.items,
        shards: manifest.shards.len() as u32,
        serving: serving == Some(manifest.id.as_str()),
    }
}

/// Raw features.
pub(crate) fn features(features: &Features) -> pb::Features {
    let values = features.iter().map(|(name, value)| {
        let kind = match value {
            Value::Number(number) => Kind::Number(*number),
            Value::Text(text) => Kind::Text(text.clone()),
            Value::List(values) => Kind::List(pb::TextList {
                values: values.clone(),
            }),
        };
        (name.clone(), pb::FeatureValue { kind: Some(kind) })
    });
    pb::Features {
        values: values.collect(),
    }
}

fn event(user: &str, event: &Event) -> pb::Event {
    pb::Event {
        user_id: user.to_owned(),
        item: Some(pb::ItemRef {
            name: Some(Name::Id(event.item)),
        }),
        r#type: event.kind.clone(),
        value: event.value,
        time: event.time,
        event_id: event.event_id.clone(),
    }
}
