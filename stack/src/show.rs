//! Shows a person what the system does: recommendations before and after they watch something.

use std::time::{SystemTime, UNIX_EPOCH};

use proto::v1::{
    self as pb, GetItemsRequest, GetUserRequest, RecallOptions, RecallRequest, RecallResponse,
    RecordEventsRequest, catalog_service_client::CatalogServiceClient,
    event_service_client::EventServiceClient, recall_service_client::RecallServiceClient,
};
use tonic::transport::Channel;

use crate::print;

/// How many recommendations are shown.
const SHOWN: u32 = 10;

/// How far down the list the person looks for something else to watch.
const LOOKED_AT: u32 = 200;

/// Prints the newest events of `user`, recommends, records an event, and recommends again.
///
/// # Errors
/// If a call fails.
pub async fn before_and_after(gateway: Channel, user: &str) -> anyhow::Result<()> {
    print::heading(&format!("What user {user} watched last"));
    let mut events = EventServiceClient::new(gateway.clone());
    let known = events
        .get_user(GetUserRequest {
            user_id: user.to_owned(),
            newest: 5,
            ..Default::default()
        })
        .await?;
    for title in titles(gateway.clone(), &known.into_inner().history).await? {
        print::line(format!("  {title}"));
    }

    print::heading("Recommendations before");
    let before = recall(gateway.clone(), user, SHOWN).await?;
    print::answer(&before);

    let further = recall(gateway.clone(), user, LOOKED_AT).await?;
    let Some(watched) = further.candidates.last() else {
        return Ok(());
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let event = pb::Event {
        user_id: user.to_owned(),
        item: Some(pb::ItemRef {
            name: Some(pb::item_ref::Name::Id(watched.id)),
        }),
        r#type: "rating".to_owned(),
        value: 5.0,
        time: now.as_secs() as i64,
        event_id: format!("demo-{}", now.as_nanos()),
    };
    events
        .record_events(RecordEventsRequest {
            events: vec![event],
            ..Default::default()
        })
        .await?;
    print::heading(&format!(
        "User {user} watches number {} of that list: {}",
        further.candidates.len(),
        print::title(watched)
    ));

    print::heading("Recommendations after");
    let after = recall(gateway, user, SHOWN).await?;
    print::answer(&after);
    let kept = after
        .candidates
        .iter()
        .filter(|new| before.candidates.iter().any(|old| old.id == new.id))
        .count();
    print::line(format!(
        "  {} of {} are new",
        after.candidates.len() - kept,
        after.candidates.len()
    ));
    Ok(())
}

async fn recall(gateway: Channel, user: &str, page_size: u32) -> anyhow::Result<RecallResponse> {
    let request = RecallRequest {
        user_id: user.to_owned(),
        page_size,
        options: Some(RecallOptions {
            with_item: true,
            ..Default::default()
        }),
        ..Default::default()
    };
    Ok(RecallServiceClient::new(gateway)
        .recall(request)
        .await?
        .into_inner())
}

/// The titles of events' items, newest first; items that the generation lacks by their id.
async fn titles(gateway: Channel, events: &[pb::Event]) -> anyhow::Result<Vec<String>> {
    let items: Vec<pb::ItemRef> = events
        .iter()
        .rev()
        .filter_map(|event| event.item.clone())
        .collect();
    let found = CatalogServiceClient::new(gateway)
        .get_items(GetItemsRequest {
            items,
            ..Default::default()
        })
        .await?;
    let found = found.into_inner();
    let missing = found
        .missing
        .iter()
        .map(|item| format!("{:?}, not in the generation", item.name));
    Ok(found
        .items
        .iter()
        .map(|item| item.title.clone())
        .chain(missing)
        .collect())
}
