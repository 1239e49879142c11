//! Fills running servers: indexes the catalog, imports events and profiles.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

use encoder::features::{Features, Value};
use futures::stream;
use index_builder::summary::Summary;
use indicatif::{ProgressBar, ProgressStyle};
use onnx::dataset::{
    Dataset,
    split::{ItemSet, Split},
};
use proto::v1::{
    self as pb, ImportUsersRequest, ImportUsersResponse, UserProfile, feature_value::Kind,
    item_ref::Name, user_tower_service_client::UserTowerServiceClient,
};

use crate::house::SHARDS;

/// Events or profiles in one message of an import.
const CHUNK: usize = 2_000;

/// Publishes a generation of the prepared dataset in `data` with the artifact `space`.
///
/// # Errors
/// As the index builder.
pub async fn index(
    store: &Path,
    data: &Path,
    space: &str,
    item_tower: &str,
) -> anyhow::Result<Summary> {
    let mut config = index_builder::config::Config::defaults()?;
    config.store = store.display().to_string();
    config.catalog = data.join("items.jsonl");
    config.artifact = space.to_owned();
    config.item_tower = item_tower.to_owned();
    config.shards = SHARDS;
    Ok(index_builder::run(config).await?)
}

/// The events that evaluation holds back: each evaluated user's last event on an item of `set`, and all after it.
pub fn held_back(dataset: &Dataset, set: ItemSet) -> BTreeSet<u32> {
    let split = Split::new(dataset, set);
    let tests: HashMap<u32, u32> = split
        .users
        .iter()
        .filter(|user| user.is_evaluated())
        .map(|user| (user.user, user.events[user.events.len() - 1]))
        .collect();
    let everything = Split::new(dataset, ItemSet::R);
    let mut held = BTreeSet::new();
    for user in &everything.users {
        if let Some(test) = tests.get(&user.user) {
            held.extend(user.events.iter().skip_while(|event| *event != test));
        }
    }
    held
}

/// Imports profiles, and the events whose index `wanted` takes.
///
/// # Errors
/// If the user tower cannot be reached or refuses a message.
pub async fn import(
    dataset: &Dataset,
    user_tower: &str,
    wanted: impl Fn(u32) -> bool,
) -> anyhow::Result<ImportUsersResponse> {
    let events: Vec<u32> = (0..dataset.events.len() as u32)
        .filter(|&event| wanted(event))
        .collect();
    let bar = ProgressBar::new(events.len() as u64).with_style(ProgressStyle::with_template(
        "  {wide_bar} {human_pos} of {human_len} events imported, {eta} left",
    )?);
    let mut messages: Vec<ImportUsersRequest> = Vec::new();
    for users in dataset.users.chunks(CHUNK) {
        let profiles = users.iter().map(|user| UserProfile {
            user_id: user.id.clone(),
            features: Some(features(&user.features)),
        });
        messages.push(ImportUsersRequest {
            profiles: profiles.collect(),
            events: Vec::new(),
        });
    }
    for chunk in events.chunks(CHUNK) {
        let events = chunk.iter().map(|&event| wire_event(dataset, event));
        messages.push(ImportUsersRequest {
            events: events.collect(),
            profiles: Vec::new(),
        });
    }
    let counted = bar.clone();
    let messages = stream::iter(
        messages
            .into_iter()
            .inspect(move |message| counted.inc(message.events.len() as u64)),
    );
    let answer = UserTowerServiceClient::connect(user_tower.to_owned())
        .await?
        .import_users(messages)
        .await;
    bar.finish_and_clear();
    Ok(answer?.into_inner())
}

/// The event of this index as clients send it.
pub fn wire_event(dataset: &Dataset, index: u32) -> pb::Event {
    let event = &dataset.events[index as usize];
    pb::Event {
        user_id: dataset.users[event.user as usize].id.clone(),
        item: Some(pb::ItemRef {
            name: Some(Name::Id(dataset.items[event.item as usize].id)),
        }),
        r#type: dataset.kinds[usize::from(event.kind)].clone(),
        value: event.value,
        time: event.time,
        event_id: format!("{:020}", event.event_id),
    }
}

fn features(features: &Features) -> pb::Features {
    let value = |value: &Value| pb::FeatureValue {
        kind: Some(match value {
            Value::Number(number) => Kind::Number(*number),
            Value::Text(text) => Kind::Text(text.clone()),
            Value::List(values) => Kind::List(pb::TextList {
                values: values.clone(),
            }),
        }),
    };
    pb::Features {
        values: features
            .iter()
            .map(|(name, raw)| (name.clone(), value(raw)))
            .collect(),
    }
}
