//! The batch re-index, from a catalog file to a generation that a true item tower serves.

mod operator;
mod refusals;
mod rig;

use encoder::sample::Sample;
use generation::partition;
use proto::v1::{self as pb, catalog_service_client::CatalogServiceClient, item_ref::Name};

use rig::{NUMBERS, Rig, lines, ranking};

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_becomes_a_generation_that_is_served() {
    let mut rig = Rig::new().await;
    rig.config.catalog_checks.bad_lines = 0.1;
    rig.write_catalog(
        &(lines(1..=NUMBERS + 5) + "{\"id\":\n" + "{\"key\":\"sku-7\",\"title\":\"Seven\"}\n"),
    );
    let summary = rig.run().await.unwrap();
    assert_eq!(
        (summary.items, summary.left_out, summary.bad_lines),
        (NUMBERS + 1, 5, 1)
    );
    assert_eq!(
        (summary.shards, summary.ann_recall, summary.hit_rate),
        (2, 1.0, None)
    );
    assert_eq!(summary.space, rig.space);
    assert_eq!(rig.serving().await.as_ref(), Some(&summary.generation));

    rig.served(&summary.generation).await;
    let seven = partition::item_id("sku-7");
    for id in [1, 30, seven] {
        let expected = rig.ranking(id, (1..=NUMBERS).chain([seven]));
        assert_eq!(
            rig.search(&summary.generation, id, 10).await.unwrap(),
            expected[..10]
        );
    }

    let mut catalog = CatalogServiceClient::new(rig.channel.clone());
    let items =
        [Name::Key("sku-7".to_owned()), Name::Id(3)].map(|name| pb::ItemRef { name: Some(name) });
    let request = pb::GetItemsRequest {
        generation: String::new(),
        items: items.to_vec(),
    };
    let found = catalog.get_items(request).await.unwrap().into_inner();
    let items: Vec<_> = found
        .items
        .iter()
        .map(|item| (item.id, item.key.as_str(), item.title.as_str()))
        .collect();
    assert_eq!(items, [(seven, "sku-7", "Seven"), (3, "", "Item 3")]);
    let request = pb::ListPopularItemsRequest {
        k: 3,
        ..Default::default()
    };
    let popular = catalog
        .list_popular_items(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (popular.ids, popular.counts),
        (vec![9, 19, 29], vec![9, 9, 9])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_item_towers_that_can_be_reached_share_the_catalog() {
    let mut rig = Rig::new().await;
    rig.add_item_tower().await;
    let nobody = "http://127.0.0.1:1".to_owned();
    rig.config.item_towers.push(nobody);
    rig.config.embed.chunk = 3;
    let summary = rig.run().await.unwrap();
    assert_eq!(summary.items, NUMBERS);
    rig.served(&summary.generation).await;
    let found = rig.search(&summary.generation, 7, 10).await.unwrap();
    assert_eq!(found, rig.ranking(7, 1..=NUMBERS)[..10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_change_is_kept_and_the_rest_is_embedded() {
    let mut rig = Rig::new().await;
    rig.write_catalog(&lines(2..NUMBERS));
    let first = rig.run().await.unwrap();
    assert_eq!((first.items, first.kept), (NUMBERS - 2, 0));

    // One item goes, two come, all get another title, and one of them a feature.
    let renamed = lines((1..=NUMBERS).filter(|id| *id != 30)).replace("Item", "Renamed");
    let with_feature = renamed.replacen("{}}", "{\"year\":1}}", 7);
    let with_feature = with_feature.replacen("{\"year\":1}}", "{}}", 6);
    rig.write_catalog(&with_feature);
    let second = rig.run().await.unwrap();
    assert_eq!((second.items, second.kept), (NUMBERS - 1, NUMBERS - 4));
    assert_eq!((second.ann_recall, second.expansion_search), (1.0, 64));
    rig.served(&second.generation).await;
    for id in [1, 7, 31, NUMBERS] {
        let expected = rig.ranking(id, (1..=NUMBERS).filter(|id| *id != 30));
        let found = rig.search(&second.generation, id, 10).await.unwrap();
        assert_eq!(found, expected[..10]);
    }

    rig.config.reuse = false;
    assert_eq!(rig.run().await.unwrap().kept, 0);
    rig.config.reuse = true;
    let damaged = rig.store.root().join("generations");
    let damaged = damaged.join(rig.serving().await.unwrap());
    std::fs::remove_file(damaged.join("shard-0001.items")).unwrap();
    assert_eq!(rig.run().await.unwrap().kept, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_the_artifact_does_not_know_are_served_if_the_builder_is_told_so() {
    let mut rig = Rig::new().await;
    rig.sample = Sample {
        seed: 2,
        reads_kind: true,
        ..rig.sample
    };
    rig.space = rig.put_artifact(&rig.sample, None).await;
    rig.config.artifact = rig.space.clone();
    let described =
        |id: u64, kind: &str| format!("{{\"id\":{id},\"features\":{{\"kind\":\"{kind}\"}}}}\n");
    // Five unknown items: two of known kinds, one of an unknown kind, two of which nothing is told.
    let fresh = described(901, "a") + &described(902, "b") + &described(903, "c");
    rig.write_catalog(&(lines(1..=NUMBERS) + &fresh + &lines([904, 905])));
    let summary = rig.run().await.unwrap();
    assert_eq!((summary.items, summary.left_out), (NUMBERS, 5));

    rig.config.embed.unknown_items = true;
    let summary = rig.run().await.unwrap();
    assert_eq!((summary.items, summary.left_out), (NUMBERS + 2, 3));
    assert_eq!(summary.unknown_items, 2);
    rig.served(&summary.generation).await;
    let row = |id| match id {
        901 => rig.sample.kind("a"),
        902 => rig.sample.kind("b"),
        id => rig.sample.row(id),
    };
    let query = rig.sample.kind("a");
    let found = rig.nearest(&summary.generation, &query, 62).await.unwrap();
    let expected = ranking(&query, row, (1..=NUMBERS).chain([901, 902]));
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_since_is_in_the_next_generation() {
    let mut rig = Rig::new().await;
    rig.write_catalog(&lines(1..=50));
    let first = rig.run().await.unwrap();
    rig.served(&first.generation).await;
    let mut catalog = CatalogServiceClient::new(rig.channel.clone());
    let item = |id| pb::Item {
        id,
        title: format!("Fresh {id}"),
        ..pb::Item::default()
    };
    let by_id = |id| pb::ItemRef {
        name: Some(Name::Id(id)),
    };
    let items = vec![item(9), item(51), item(52)];
    catalog
        .upsert_items(pb::UpsertItemsRequest { items })
        .await
        .unwrap();
    let items = vec![by_id(3), by_id(52)];
    catalog
        .delete_items(pb::DeleteItemsRequest { items })
        .await
        .unwrap();

    // The file is what it was, but for one item that goes by the file.
    rig.config.parts = 3;
    rig.write_catalog(&lines((1..=50).filter(|id| *id != 7)));
    let second = rig.run().await.unwrap();
    rig.served(&second.generation).await;
    let expected = || (1..=51).filter(|id| ![3, 7].contains(id));
    assert_eq!(second.items, 49);
    let found = rig.search(&second.generation, 5, 100).await.unwrap();
    assert_eq!(found, rig.ranking(5, expected()));
    let request = pb::GetItemsRequest {
        generation: second.generation.clone(),
        items: [9, 51, 3].map(by_id).to_vec(),
    };
    let found = catalog.get_items(request).await.unwrap().into_inner().items;
    let titles: Vec<_> = found.iter().map(|item| item.title.as_str()).collect();
    assert_eq!(titles, ["Fresh 9", "Fresh 51"]);
    // What replaced an item is as popular as the file says that it is.
    let request = pb::ListPopularItemsRequest {
        k: 1,
        ..pb::ListPopularItemsRequest::default()
    };
    let popular = catalog.list_popular_items(request).await.unwrap();
    let popular = popular.into_inner();
    assert_eq!((popular.ids, popular.counts), (vec![9], vec![9]));

    // The same file still lacks what came; another is taken to hold it.
    let third = rig.run().await.unwrap();
    assert_eq!((third.items, third.kept), (49, 49));
    rig.write_catalog(&lines(1..=50));
    let fourth = rig.run().await.unwrap();
    assert_eq!((fourth.items, fourth.kept), (50, 48));
    rig.config.catalog_delta = 1;
    rig.write_catalog(&lines((1..=50).rev()));
    let fifth = rig.run().await.unwrap();
    assert_eq!(fifth.items, 49);
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_go_on_while_generations_follow_one_another() {
    let rig = Rig::new().await;
    let mut generation = rig.run().await.unwrap().generation;
    rig.served(&generation).await;
    for last in [50, 40, 30] {
        rig.write_catalog(&lines(1..=last));
        let run = rig.run();
        tokio::pin!(run);
        let (mut searches, expected) = (0, rig.search(&generation, 7, 5).await.unwrap());
        let summary = loop {
            tokio::select! {
                done = &mut run => break done.unwrap(),
                found = rig.search(&generation, 7, 5) => {
                    assert_eq!(found.unwrap(), expected);
                    searches += 1;
                }
            }
        };
        assert!(searches > 0);
        assert_eq!(rig.search(&generation, 7, 5).await.unwrap(), expected);
        rig.served(&summary.generation).await;
        generation = summary.generation;
        assert_eq!(
            rig.search(&generation, 7, 5).await.unwrap(),
            rig.ranking(7, 1..=last)[..5]
        );
    }
}
