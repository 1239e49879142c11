//! From words of the house to the wire.

use encoder::features::{Features, Value};
use generation::manifest::Manifest;
use proto::v1::{self as pb, feature_value::Kind, item_ref::Name};

use crate::{
    batcher::Embedded,
    history::{Event, History, UserCopy},
    user::Whole,
};

/// An embedded user.
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

/// A user as stored, for another store.
pub(crate) fn stored(copy: UserCopy) -> pb::StoredUser {
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
