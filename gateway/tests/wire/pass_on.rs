//! Events, profiles and the catalog: passed on to the members that can answer.

use generation::{placement, store::Members};
use proto::v1::{
    DeleteItemsRequest, DeleteUserRequest, Event, GetGenerationRequest, GetItemsRequest,
    GetUserRequest, Item, ItemRef, ListPopularItemsRequest, PutUserProfileRequest,
    RecordEventsRequest, RecordEventsResponse, UpsertItemsRequest,
    catalog_service_client::CatalogServiceClient, event_service_client::EventServiceClient,
    generation_service_client::GenerationServiceClient, item_ref::Name,
};
use service::status;
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{
    house::{House, ITEMS, eventually},
    switch::health,
};

fn event(user: &str, event_id: u32) -> Event {
    Event {
        user_id: user.to_owned(),
        item: Some(ItemRef {
            name: Some(Name::Id(1)),
        }),
        time: 1_000,
        event_id: event_id.to_string(),
        ..Default::default()
    }
}

async fn record(house: &House, events: Vec<Event>) -> Result<RecordEventsResponse, Status> {
    let request = RecordEventsRequest {
        events,
        members_epoch: 0,
    };
    let answer = EventServiceClient::new(house.channel())
        .record_events(request)
        .await;
    answer.map(tonic::Response::into_inner)
}

/// A gateway that knows who keeps the users.
async fn opened(user_towers: usize) -> House {
    let mut house = House::new(1, user_towers).await;
    house.open().await;
    eventually("it is known who keeps users", async || {
        health(&house, "EventService").await == ServingStatus::Serving
    })
    .await;
    house
}

#[tokio::test]
async fn a_batch_of_events_goes_to_the_owners_of_its_users() {
    let house = opened(3).await;
    let users: Vec<_> = (0..30).map(|user| format!("u{user}")).collect();
    let mut events: Vec<_> = users.iter().map(|user| event(user, 1)).collect();
    events.push(event("u0", 1));
    events.push(event("u0", 2));
    let answer = record(&house, events).await.unwrap();
    assert_eq!((answer.recorded, answer.duplicates), (31, 1));
    let tokens = answer.consistency_token.split('.');
    let of_each = tokens.map(|token| token.strip_suffix("-1").unwrap().parse::<usize>().unwrap());
    assert_eq!(of_each.sum::<usize>(), 32);

    let members = house.store.members().await.unwrap().unwrap().value.members;
    for (name, tower) in members.iter().zip(&house.user_towers) {
        let kept = tower.state().events.clone();
        assert!(!kept.is_empty());
        for (user, ..) in kept {
            assert_eq!(placement::owner(&user, &members), Some(name.as_str()));
        }
    }
    let request = GetUserRequest {
        user_id: "u0".to_owned(),
        ..Default::default()
    };
    let user = EventServiceClient::new(house.channel())
        .get_user(request)
        .await
        .unwrap();
    assert_eq!(user.into_inner().seen_items, 2);

    let request = DeleteUserRequest {
        user_id: "u0".to_owned(),
        ..Default::default()
    };
    let deleted = EventServiceClient::new(house.channel())
        .delete_user(request)
        .await
        .unwrap();
    assert_eq!(deleted.into_inner().events, 2);
}

#[tokio::test]
async fn changed_members_cost_a_fresh_look_and_no_failure() {
    let mut house = House::new(1, 2).await;
    house.config.topology.refresh = std::time::Duration::from_secs(3_600);
    house.open().await;
    let events = |at| {
        (0..20)
            .map(move |user| event(&format!("u{user}"), at))
            .collect()
    };
    eventually("both owners are known", async || {
        record(&house, events(0)).await.is_ok()
    })
    .await;

    let old = house.store.members().await.unwrap().unwrap();
    let members = Members {
        epoch: 8,
        members: vec!["user-tower-1".to_owned()],
    };
    house
        .store
        .swap_members(Some(&old.version), &members)
        .await
        .unwrap();
    for tower in &house.user_towers {
        tower.state().epoch = 8;
        tower.state().events.clear();
    }
    let answer = record(&house, events(1)).await.unwrap();
    assert_eq!((answer.recorded, answer.duplicates), (20, 0));
    assert_eq!(house.user_towers[1].state().events.len(), 20);
    let request = PutUserProfileRequest {
        user_id: "u".to_owned(),
        ..Default::default()
    };
    EventServiceClient::new(house.channel())
        .put_user_profile(request)
        .await
        .unwrap();
}

#[tokio::test]
async fn events_of_a_dead_owner_are_refused_as_unavailable() {
    let mut house = opened(1).await;
    house.user_towers[0].kill();
    for _ in 0..5 {
        let refused = record(&house, vec![event("u", 1)]).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        assert_eq!(
            status::reason(&refused).as_deref(),
            Some(status::MEMBER_UNREACHABLE)
        );
    }
}

#[tokio::test]
async fn an_event_without_a_user_is_refused_by_name() {
    let house = opened(1).await;
    let refused = record(&house, vec![event("u", 1), event("", 2)])
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "events[1].user_id: is empty");
    let refused = record(&house, vec![event("u", 1); 1_001])
        .await
        .unwrap_err();
    assert_eq!(
        refused.message(),
        "events: has 1001 events, at most 1000 are allowed"
    );
    let most = record(&house, vec![event("u", 1); 1_000]).await.unwrap();
    assert_eq!((most.recorded, most.duplicates), (1, 999));
}

#[tokio::test]
async fn a_refused_event_is_named_by_its_place_in_the_whole_batch() {
    let house = opened(3).await;
    for wrong in 0..10 {
        let mut events: Vec<_> = (0..10).map(|user| event(&format!("u{user}"), 1)).collect();
        events[wrong].time = 0;
        let refused = record(&house, events).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(refused.message(), format!("events[{wrong}].time: is 0"));
    }
}

#[tokio::test]
async fn an_owner_that_cannot_store_is_passed_on_with_its_reason() {
    let house = opened(1).await;
    house.user_towers[0].state().disk_full = true;
    let refused = record(&house, vec![event("u", 1)]).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(
        status::reason(&refused).as_deref(),
        Some(status::STORE_FAILED)
    );
}

#[tokio::test]
async fn items_come_in_the_order_asked_and_unknown_ones_are_missing() {
    let (house, _) = House::usual().await;
    let item = |name| ItemRef { name: Some(name) };
    let items = [7, 2, 999, 31].map(|id| item(Name::Id(id)));
    let key = item(Name::Key("no such key".to_owned()));
    let request = GetItemsRequest {
        generation: String::new(),
        items: items.iter().chain([&key]).cloned().collect(),
    };
    let answer = CatalogServiceClient::new(house.channel())
        .get_items(request)
        .await
        .unwrap()
        .into_inner();
    let found: Vec<_> = answer.items.iter().map(|item| item.id).collect();
    assert_eq!(found, [7, 2, 31]);
    assert_eq!(answer.missing, [items[2].clone(), key]);
}

#[tokio::test]
async fn a_thousand_items_are_read_at_once_and_no_more() {
    let (house, _) = House::usual().await;
    let read = async |count| {
        let item = ItemRef {
            name: Some(Name::Id(7)),
        };
        let request = GetItemsRequest {
            generation: String::new(),
            items: vec![item; count],
        };
        CatalogServiceClient::new(house.channel())
            .get_items(request)
            .await
    };
    let most = read(1_000).await.unwrap().into_inner();
    assert_eq!(most.items.len(), 1_000);
    let refused = read(1_001).await.unwrap_err();
    assert_eq!(
        refused.message(),
        "items: has 1001 items, at most 1000 are allowed"
    );
}

#[tokio::test]
async fn items_of_a_dead_shard_are_an_error_not_missing() {
    let (mut house, _) = House::usual().await;
    house.item_towers[0].kill();
    let request = GetItemsRequest {
        generation: String::new(),
        items: (1..=ITEMS)
            .map(|id| ItemRef {
                name: Some(Name::Id(id)),
            })
            .collect(),
    };
    let refused = CatalogServiceClient::new(house.channel())
        .get_items(request)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
}

#[tokio::test]
async fn changes_of_the_catalog_go_to_a_tower_that_can_be_reached() {
    let (mut house, _) = House::usual().await;
    house.item_towers[0].kill();
    let mut catalog = CatalogServiceClient::new(house.channel());
    let item = |id| Item {
        id,
        ..Default::default()
    };
    for _ in 0..4 {
        let items = vec![item(9)];
        let put = catalog.upsert_items(UpsertItemsRequest { items }).await;
        assert_eq!(put.unwrap().into_inner().delta, 9);
        let items = vec![ItemRef::default(); 3];
        let taken = catalog.delete_items(DeleteItemsRequest { items }).await;
        assert_eq!(taken.unwrap().into_inner().delta, 3);
    }
    let nothing = UpsertItemsRequest::default();
    let refused = catalog.upsert_items(nothing).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "items: has 0, must have 1 to 1000");
}

#[tokio::test]
async fn popular_items_are_listed_up_to_the_limit() {
    let (house, manifest) = House::usual().await;
    let list = async |k| {
        let request = ListPopularItemsRequest {
            k,
            ..Default::default()
        };
        CatalogServiceClient::new(house.channel())
            .list_popular_items(request)
            .await
    };
    let answer = list(2).await.unwrap().into_inner();
    assert_eq!(answer.generation, manifest.id);
    assert_eq!(answer.ids, [ITEMS, ITEMS - 1]);
    list(0).await.unwrap();
    list(1_000).await.unwrap();
    let refused = list(1_001).await.unwrap_err();
    assert_eq!(refused.message(), "k: is 1001, at most 1000 is allowed");
}

#[tokio::test]
async fn the_manifest_of_the_generation_that_answers_can_be_read() {
    let (house, manifest) = House::usual().await;
    let answer = GenerationServiceClient::new(house.channel())
        .get_generation(GetGenerationRequest::default())
        .await
        .unwrap()
        .into_inner();
    let summary = answer.generation.unwrap();
    assert_eq!((summary.items, summary.shards), (ITEMS, 2));
    assert!(summary.serving);
    let told: generation::manifest::Manifest = serde_json::from_str(&answer.manifest_json).unwrap();
    assert_eq!(told, manifest);
}
