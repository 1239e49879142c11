//! Items that come while people are served: through the gateway in, and out in the next recall.

use std::{fs, time::Duration};

use encoder::sample::Sample;
use generation::store::Store;
use index_builder::config::Config;
use proto::v1::{
    self as pb, catalog_service_client::CatalogServiceClient, item_ref::Name,
    recall_service_client::RecallServiceClient,
};
use stack::house::{House, Plan, SHARDS};
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::house::support::RUNTIME;

const ITEMS: u64 = 40;

/// A user who saw an item.
fn watched(id: u64) -> pb::UserContext {
    let event = pb::Event {
        item: Some(pb::ItemRef {
            name: Some(Name::Id(id)),
        }),
        event_id: "1".to_owned(),
        ..pb::Event::default()
    };
    pb::UserContext {
        features: None,
        history: vec![event],
    }
}

/// Recalls everything for a user who saw item 7, with titles.
async fn recall(gateway: &Channel) -> pb::RecallResponse {
    let request = pb::RecallRequest {
        context: Some(watched(7)),
        page_size: 1_000,
        options: Some(pb::RecallOptions {
            with_item: true,
            ..pb::RecallOptions::default()
        }),
        ..pb::RecallRequest::default()
    };
    let mut client = RecallServiceClient::new(gateway.clone());
    client.recall(request).await.unwrap().into_inner()
}

/// Recalls until the answer has seen a delta.
async fn recall_as_of(gateway: &Channel, delta: u64) -> pb::RecallResponse {
    let late = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = recall(gateway).await;
        if answer.coverage.as_ref().unwrap().delta >= delta {
            return answer;
        }
        assert!(Instant::now() < late, "delta {delta} is never seen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn an_item_that_comes_is_recalled_and_one_that_goes_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::at(folder.path(), 0);
    let sample = Sample {
        items: (1..=ITEMS + 2).collect(),
        ..Sample::default()
    };
    let artifact = folder.path().join("artifact");
    let space = sample.write(&artifact).unwrap();
    let catalog = folder.path().join("items.jsonl");
    let lines = (1..=ITEMS).map(|id| format!("{{\"id\":{id},\"title\":\"Item {id}\"}}\n"));
    fs::write(&catalog, lines.collect::<String>()).unwrap();

    RUNTIME.block_on(async {
        let store = Store::open(plan.store.to_str().unwrap()).unwrap();
        store.put_artifact(&artifact, &space).await.unwrap();
        let mut house = House::start(&plan).await.unwrap();
        let mut config = Config::defaults().unwrap();
        config.store = plan.store.display().to_string();
        config.catalog = catalog;
        config.work = folder.path().join("index-builder");
        config.item_towers = vec![format!("http://{}", house.item_towers[0])];
        config.shards = SHARDS;
        config.verify.hr_floor = 0.0;
        let made = index_builder::run(config).await.unwrap();
        house.serves(&made.generation).await.unwrap();
        let gateway = house.channel().unwrap();

        let before = recall(&gateway).await;
        let coverage = before.coverage.unwrap();
        assert_eq!((coverage.items_total, coverage.items_fresh), (ITEMS, 0));

        let mut changes = CatalogServiceClient::new(gateway.clone());
        let put = [ITEMS + 1, ITEMS + 2].map(|id| pb::Item {
            id,
            title: format!("Fresh {id}"),
            ..pb::Item::default()
        });
        let items = put.to_vec();
        let put = changes.upsert_items(pb::UpsertItemsRequest { items }).await;
        assert_eq!(put.unwrap().into_inner().not_embedded, [0; 0]);
        let items = [9, ITEMS + 2].map(|id| pb::ItemRef {
            name: Some(Name::Id(id)),
        });
        let items = items.to_vec();
        let taken = changes.delete_items(pb::DeleteItemsRequest { items }).await;
        let delta = taken.unwrap().into_inner().delta;

        let after = recall_as_of(&gateway, delta).await;
        let mut ids: Vec<u64> = after.candidates.iter().map(|found| found.id).collect();
        ids.sort_unstable();
        let expected = (1..=ITEMS + 1).filter(|id| ![7, 9].contains(id));
        assert_eq!(ids, expected.collect::<Vec<_>>());
        for found in &after.candidates {
            let fresh = found.id > ITEMS;
            assert_eq!(found.source() == pb::Source::Fresh, fresh);
            let title = format!("{} {}", if fresh { "Fresh" } else { "Item" }, found.id);
            assert_eq!(found.item.as_ref().unwrap().title, title);
        }
        let coverage = after.coverage.unwrap();
        assert_eq!((coverage.items_total, coverage.items_fresh), (ITEMS, 1));
        assert_eq!(coverage.items_eligible, ITEMS - 1);
        assert_eq!((coverage.fraction, coverage.exact), (1.0, true));
        assert_eq!(after.generation, before.generation);

        let request = pb::RecallRequest {
            user_id: "nobody".to_owned(),
            context: Some(watched(7)),
            page_size: 3,
            blend: Some(pb::Blend {
                popular: 0,
                fresh: 1,
            }),
            ..pb::RecallRequest::default()
        };
        let mut client = RecallServiceClient::new(gateway.clone());
        let blended = client.recall(request).await.unwrap().into_inner();
        assert_eq!(blended.candidates.len(), 3);
        assert_eq!(blended.candidates[2].id, ITEMS + 1);

        // A fresh item has neighbours at once, and one that went has none any more.
        let named = |id| pb::ItemRef {
            name: Some(Name::Id(id)),
        };
        let request = pb::SimilarItemsRequest {
            items: vec![named(9), named(ITEMS + 1)],
            page_size: 5,
            ..pb::SimilarItemsRequest::default()
        };
        let near = client.similar_items(request).await.unwrap().into_inner();
        assert_eq!(near.missing, [named(9)]);
        assert_eq!(near.candidates.len(), 5);
        assert!(
            near.candidates
                .iter()
                .all(|one| one.id <= ITEMS && one.interest == 1)
        );
        house.stop().await.unwrap();
    });
}
