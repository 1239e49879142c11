//! `twotower user`: shows what is stored of a user.

use std::collections::HashMap;

use proto::v1::{
    Event, GetItemsRequest, GetUserRequest, GetUserResponse, ItemRef,
    catalog_service_client::CatalogServiceClient, event_service_client::EventServiceClient,
};
use serde_json::{Value, json};

use super::{
    connection::{Connection, Gateway},
    failure, item, json,
    table::{self, Table},
    words,
};

/// The most items that can be asked for at once.
const MOST_ITEMS: usize = 1_000;

/// Whom to show.
#[derive(Debug, clap::Args)]
pub struct User {
    /// The user.
    #[arg(long, value_name = "ID")]
    user: String,
    /// How many of the newest events to show.
    #[arg(long, value_name = "N", default_value_t = 10)]
    newest: u32,
    #[command(flatten)]
    connection: Connection,
}

impl User {
    /// Asks for the user and, for people, for the titles of what the user did something to.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let channel = self.connection.channel().await?;
        let request = GetUserRequest {
            user_id: self.user,
            newest: self.newest,
            ..Default::default()
        };
        let user = EventServiceClient::new(channel.clone())
            .get_user(request)
            .await;
        let user = user.map_err(failure::of)?.into_inner();
        let titles = match self.connection.json {
            true => HashMap::new(),
            false => titles(channel, &user.history).await,
        };
        self.connection
            .print(|| document(&user), || lines(&user, &titles));
        Ok(())
    }
}

/// Titles by the ids and keys of items. They are an extra: without a catalog, events go by ids and keys alone.
async fn titles(channel: Gateway, events: &[Event]) -> HashMap<String, String> {
    let items: Vec<ItemRef> = events
        .iter()
        .rev()
        .filter_map(|event| event.item.clone())
        .take(MOST_ITEMS)
        .collect();
    let request = GetItemsRequest {
        items,
        ..Default::default()
    };
    let found = CatalogServiceClient::new(channel).get_items(request).await;
    let found = found.map(|found| found.into_inner().items);
    let mut titles = HashMap::new();
    for item in found.unwrap_or_default() {
        if !item.key.is_empty() {
            titles.insert(item.key, item.title.clone());
        }
        titles.insert(item.id.to_string(), item.title);
    }
    titles
}

fn document(user: &GetUserResponse) -> Value {
    json!({
        "profile": user.profile.as_ref().map(json::features),
        "history": json::list(&user.history, event),
        "seen_items": user.seen_items,
    })
}

fn event(event: &Event) -> Value {
    json!({
        "user_id": event.user_id,
        "item": event.item.as_ref().map(json::item_ref),
        "type": event.r#type,
        "value": json::number(event.value),
        "time": event.time,
        "event_id": event.event_id,
    })
}

/// The profile, then the events, newest first.
fn lines(user: &GetUserResponse, titles: &HashMap<String, String>) -> Vec<String> {
    let profile = match &user.profile {
        Some(profile) => words::features(profile)
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect::<Vec<_>>()
            .join("; "),
        None => "none".to_owned(),
    };
    let mut lines = table::facts(&[
        ("profile", profile),
        ("seen", format!("{} items", user.seen_items)),
    ]);
    if user.history.is_empty() {
        return lines;
    }
    let events = || user.history.iter().rev();
    let name = |event: &Event| event.item.as_ref().map(item::name).unwrap_or_default();
    let title = |event: &Event| titles.get(&name(event)).cloned().unwrap_or_default();
    let table = Table::default()
        .left("time", events().map(|event| words::date(event.time)))
        .right("item", events().map(name))
        .left("title", events().map(title))
        .left("type", events().map(|event| &event.r#type))
        .right("value", events().map(|event| event.value))
        .left("event id", events().map(|event| &event.event_id));
    lines.push(String::new());
    lines.extend(table.lines());
    lines
}

#[cfg(test)]
mod tests {
    use proto::v1::{FeatureValue, Features, feature_value::Kind};

    use super::*;

    #[test]
    fn the_newest_event_comes_first_by_its_title() {
        let event = |text: &str, time| Event {
            item: item::parse(text).ok(),
            r#type: "rating".to_owned(),
            value: 4.5,
            time,
            event_id: "e".to_owned(),
            ..Default::default()
        };
        let age = FeatureValue {
            kind: Some(Kind::Number(25.0)),
        };
        let user = GetUserResponse {
            profile: Some(Features {
                values: [("age".to_owned(), age)].into(),
            }),
            history: vec![event("7", 0), event("tt2", 1)],
            seen_items: 2,
        };
        let titles = HashMap::from([("7".to_owned(), "Alien".to_owned())]);
        assert_eq!(
            lines(&user, &titles),
            [
                "profile  age 25",
                "seen     2 items",
                "",
                "time                  item  title  type    value  event id",
                "1970-01-01T00:00:01Z   tt2         rating    4.5  e",
                "1970-01-01T00:00:00Z     7  Alien  rating    4.5  e",
            ]
        );
    }

    #[test]
    fn a_user_of_whom_nothing_is_stored_has_no_table() {
        let lines = lines(&GetUserResponse::default(), &HashMap::new());
        assert_eq!(lines, ["profile  none", "seen     0 items"]);
    }
}
