//! Serves the shards of the generations that CURRENT names, over gRPC.

use std::{fs, time::Duration};

use generation::partition;
use item_tower::config::Search;
use proto::v1::{self as pb, condition::Kind, item_ref::Name};
use service::status;
use tonic::{Code, Status};

use crate::rig::{Rig, SHARDS, Tower, eventually, vectors};

fn by_id(id: u64) -> pb::ItemRef {
    pb::ItemRef {
        name: Some(Name::Id(id)),
    }
}

async fn get(
    tower: &Tower,
    generation: &str,
    items: Vec<pb::ItemRef>,
) -> Result<pb::GetItemsResponse, Status> {
    let request = pb::GetItemsRequest {
        generation: generation.to_owned(),
        items,
    };
    Ok(tower.catalog().get_items(request).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_is_searched_once_current_names_it() {
    let rig = Rig::new().await;
    let tower = rig.start(|_| {}).await;
    let generation = rig.publish(1..=50).await;
    tower.holds(&[&generation]).await;
    eventually(async || {
        tower.healthy("SearchService").await && tower.healthy("CatalogService").await
    })
    .await;

    let mut request = rig.search(&generation, 7, &[1, 0], 10);
    let found = tower.search(request.clone()).await.unwrap();
    assert_eq!(
        found.iter().map(|hits| hits.shard).collect::<Vec<_>>(),
        [1, 0]
    );
    for hits in &found {
        assert_eq!(hits.ids, rig.ranking(7, 1..=50, hits.shard)[..10]);
        assert!(hits.exact && hits.eligible == hits.searched);
    }

    let shard = partition::shard_of(7, SHARDS);
    request.shards = vec![pb::ShardQuery {
        shard,
        exclude: vec![7, 5_000],
    }];
    let found = tower.search(request).await.unwrap();
    let expected: Vec<u64> = rig.ranking(7, (1..=50).filter(|id| *id != 7), shard);
    assert_eq!(found[0].ids, expected[..10]);
    assert_eq!(found[0].eligible, expected.len() as u64);
    tower.stop().await;
}

/// A filter for items of the years from `min` to `max`; the year of item `id` is 1900 + `id`.
fn years(min: f64, max: f64) -> Option<pb::Filter> {
    let range = pb::NumberRange {
        attribute: "year".to_owned(),
        min: Some(min),
        max: Some(max),
    };
    Some(pb::Filter {
        must: vec![pb::Condition {
            kind: Some(Kind::Range(range)),
        }],
        ..pb::Filter::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn only_items_that_pass_a_filter_are_found() {
    let rig = Rig::new().await;
    let generation = rig.publish(1..=50).await;
    let tower = rig.start(|_| {}).await;
    tower.holds(&[&generation]).await;
    let mut request = rig.search(&generation, 7, &[0, 1], 10);
    request.filter = years(1910.0, 1939.5);
    for hits in tower.search(request.clone()).await.unwrap() {
        let passing = rig.ranking(7, 10..=39, hits.shard);
        assert_eq!(hits.ids, passing[..passing.len().min(10)]);
        assert_eq!(hits.eligible, passing.len() as u64);
        assert!(hits.exact);
    }
    request.filter = years(1901.0, 1901.0);
    let found = tower.search(request.clone()).await.unwrap();
    let ids: Vec<u64> = found.iter().flat_map(|hits| &hits.ids).copied().collect();
    assert_eq!(ids, [1]);
    let plans = [pb::SearchPlan::Matches, pb::SearchPlan::Scan];
    assert!(found.iter().all(|hits| plans.contains(&hits.plan())));

    let popular = pb::ListPopularItemsRequest {
        k: 3,
        filter: years(1910.0, 1939.5),
        ..Default::default()
    };
    let found = tower.catalog().list_popular_items(popular).await.unwrap();
    assert_eq!(found.into_inner().ids, [39, 38, 37]);

    request.filter = years(f64::NAN, 0.0);
    let refused = tower.search(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        refused.message().contains("filter: has a range"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_of_the_graph_are_measured() {
    let rig = Rig::new().await;
    let generation = rig.publish(1..=50).await;
    let tower = rig
        .start(|config| {
            config.shards.search = Search::Graph;
            config.shards.measure_every = 2;
        })
        .await;
    tower.holds(&[&generation]).await;
    for _ in 0..4 {
        let found = tower.search(rig.search(&generation, 7, &[0, 1], 1)).await;
        assert!(found.unwrap().iter().all(|hits| !hits.exact));
    }
    eventually(async || {
        let held = tower.shards().await;
        held.iter()
            .all(|shard| shard.recall_searches == 2 && shard.recall > 0.5)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_may_leave_out_hundreds_of_thousands_of_items() {
    let rig = Rig::new().await;
    let generation = rig.publish(1..=50).await;
    let tower = rig.start(|_| {}).await;
    tower.holds(&[&generation]).await;
    let mut request = rig.search(&generation, 7, &[0], 10);
    request.shards[0].exclude = (1 << 60..).take(300_000).collect();
    let found = tower.search(request).await.unwrap();
    assert_eq!(found[0].ids, rig.ranking(7, 1..=50, 0)[..10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_search_is_refused_with_a_reason() {
    let rig = Rig::new().await;
    let generation = rig.publish(1..=50).await;
    let tower = rig.start(|_| {}).await;
    tower.holds(&[&generation]).await;
    type Change = fn(&mut pb::SearchRequest);
    fn set(request: &mut pb::SearchRequest, values: &[f32], dim: usize) {
        let space = request.interests.take().unwrap().space;
        request.interests = Some(vectors(values, dim, &space));
    }
    let cases: [(&str, Change); 12] = [
        (status::INVALID_FIELD, |r| r.k = 0),
        (status::INVALID_FIELD, |r| r.k = 1_001),
        (status::INVALID_FIELD, |r| r.interests = None),
        (status::INVALID_FIELD, |r| set(r, &[f32::NAN; 8], 8)),
        (status::INVALID_FIELD, |r| set(r, &[0.0; 8], 8)),
        (status::INVALID_FIELD, |r| set(r, &[1.0; 7], 7)),
        (status::INVALID_FIELD, |r| set(r, &[1.0; 9], 8)),
        (status::INVALID_FIELD, |r| r.shards[1].shard = 0),
        (status::INVALID_FIELD, |r| r.shards[0].exclude = vec![2, 1]),
        (status::SPACE_MISMATCH, |r| {
            r.interests.as_mut().unwrap().space = "0".repeat(32)
        }),
        (status::GENERATION_NOT_HELD, |r| {
            r.generation = "20200101T000000Z-00000000".to_owned()
        }),
        (status::GENERATION_NOT_HELD, |r| r.shards[1].shard = 2),
    ];
    for (reason, change) in cases {
        let mut request = rig.search(&generation, 7, &[0, 1], 10);
        change(&mut request);
        let cause = tower.search(request).await.unwrap_err();
        assert_eq!(status::reason(&cause).as_deref(), Some(reason), "{cause}");
        let code = match reason {
            status::INVALID_FIELD => Code::InvalidArgument,
            _ => Code::FailedPrecondition,
        };
        assert_eq!(cause.code(), code, "{cause}");
    }
    let most = tower
        .search(rig.search(&generation, 7, &[0, 1], 1_000))
        .await
        .unwrap();
    assert_eq!(most.iter().map(|hits| hits.ids.len()).sum::<usize>(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_of_a_generation_is_read() {
    let rig = Rig::new().await;
    let tower = rig.start(|_| {}).await;
    let cause = get(&tower, "", vec![by_id(1)]).await.unwrap_err();
    assert_eq!(
        status::reason(&cause).as_deref(),
        Some(status::NO_GENERATION)
    );
    let generation = rig.publish(1..=50).await;
    tower.holds(&[&generation]).await;

    let key = pb::ItemRef {
        name: Some(Name::Key("sku-7".to_owned())),
    };
    let asked = vec![by_id(50), by_id(51), by_id(2), key.clone()];
    let found = get(&tower, "", asked).await.unwrap();
    let titles: Vec<_> = found.items.iter().map(|item| item.title.as_str()).collect();
    assert_eq!(titles, ["Item 50", "Item 2"]);
    assert!(
        found.items[0]
            .features
            .as_ref()
            .unwrap()
            .values
            .contains_key("year")
    );
    assert_eq!(found.missing, [by_id(51), key]);
    let most = get(&tower, &generation, vec![by_id(1); 1_000]).await;
    assert_eq!(most.unwrap().items.len(), 1_000);
    let over = get(&tower, &generation, vec![by_id(1); 1_001])
        .await
        .unwrap_err();
    assert_eq!(over.code(), Code::InvalidArgument);

    let popular = |k| pb::ListPopularItemsRequest {
        k,
        ..Default::default()
    };
    let found = tower
        .catalog()
        .list_popular_items(popular(3))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (found.ids, found.counts),
        (vec![50, 49, 48], vec![500, 490, 480])
    );
    assert_eq!(found.generation, generation);
    let all = tower
        .catalog()
        .list_popular_items(popular(0))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(all.ids.len(), 50);
    tower
        .catalog()
        .list_popular_items(popular(1_000))
        .await
        .unwrap();
    let over = tower
        .catalog()
        .list_popular_items(popular(1_001))
        .await
        .unwrap_err();
    assert_eq!(over.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_member_holds_its_shards() {
    let rig = Rig::new().await;
    let generation = rig.publish(1..=50).await;
    let members = || vec!["a".to_owned(), "b".to_owned()];
    let tower = rig
        .start(|config| {
            config.members = members();
            config.member = "b".to_owned();
        })
        .await;
    eventually(async || tower.held().await == [(generation.clone(), vec![1])]).await;
    let items: Vec<_> = (1..=50).map(by_id).collect();
    let found = get(&tower, &generation, items).await.unwrap();
    assert!(
        found
            .items
            .iter()
            .all(|item| partition::shard_of(item.id, SHARDS) == 1)
    );
    assert_eq!(found.items.len() + found.missing.len(), 50);
    assert_eq!(found.items.len(), rig.ranking(1, 1..=50, 1).len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupted_shard_file_keeps_the_last_good_generation_serving() {
    for (name, at) in [
        ("shard-0000.rows", 100),
        ("shard-0001.graph", 200),
        ("popularity.json", 3),
    ] {
        let rig = Rig::new().await;
        let (good, bad) = (rig.publish(1..=50).await, rig.publish(1..=60).await);
        rig.point_at(&good, None).await;
        let tower = rig.start(|_| {}).await;
        tower.holds(&[&good]).await;

        let path = rig.file(&bad, name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 1;
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        rig.point_at(&bad, Some(&good)).await;
        let request = pb::GetGenerationRequest {
            generation: bad.clone(),
        };
        eventually(async || {
            let cause = tower
                .generations()
                .get_generation(request.clone())
                .await
                .unwrap_err();
            assert_eq!(cause.code(), Code::FailedPrecondition);
            cause.message().contains(name) && cause.message().contains("blake3")
        })
        .await;
        assert!(
            tower
                .search(rig.search(&good, 7, &[0, 1], 10))
                .await
                .is_ok()
        );
        assert_eq!(
            get(&tower, "", vec![by_id(60)]).await.unwrap().missing,
            [by_id(60)]
        );
        assert!(tower.healthy("SearchService").await);

        // What was published after it is served.
        let next = rig.publish(1..=55).await;
        tower.holds(&[&next, &good]).await;
        assert_eq!(
            get(&tower, "", vec![by_id(55)]).await.unwrap().items.len(),
            1
        );
        tower.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_somebody_watches_over_is_kept() {
    let rig = Rig::new().await;
    let first = rig.publish(1..=30).await;
    let tower = rig
        .start(|config| config.shards.linger = Duration::ZERO)
        .await;
    tower.holds(&[&first]).await;
    let request = pb::WatchGenerationRequest {
        generation: first.clone(),
    };
    let watched = tower.generations().watch_generation(request).await;
    let mut watched = watched.unwrap().into_inner();
    let held = |told: pb::WatchGenerationResponse| -> Vec<String> {
        told.generations.into_iter().map(|held| held.id).collect()
    };
    let told = watched.message().await.unwrap().unwrap();
    assert_eq!(held(told), [first.as_str()]);
    let second = rig.publish(1..=40).await;
    tower.holds(&[&second, &first]).await;
    let third = rig.publish(1..=50).await;
    tower.holds(&[&third, &second, &first]).await;
    loop {
        let told = watched.message().await.unwrap().unwrap();
        if held(told) == [third.clone(), second.clone(), first.clone()] {
            break;
        }
    }
    drop(watched);
    tower.holds(&[&third, &second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_no_longer_named_is_let_go_after_it_lingered() {
    let rig = Rig::new().await;
    let first = rig.publish(1..=30).await;
    let tower = rig
        .start(|config| config.shards.linger = Duration::ZERO)
        .await;
    tower.holds(&[&first]).await;
    let second = rig.publish(1..=40).await;
    tower.holds(&[&second, &first]).await;
    let third = rig.publish(1..=50).await;
    tower.holds(&[&third, &second]).await;

    let request = pb::ListGenerationsRequest {};
    let listed = tower
        .generations()
        .list_generations(request)
        .await
        .unwrap()
        .into_inner();
    let serving: Vec<_> = listed
        .generations
        .iter()
        .map(|g| (g.id.as_str(), g.serving, g.items))
        .collect();
    assert_eq!(
        serving,
        [(third.as_str(), true, 50), (second.as_str(), false, 40)]
    );
    let cause = tower
        .search(rig.search(&first, 7, &[0], 1))
        .await
        .unwrap_err();
    assert!(cause.message().contains(&third), "{cause}");
}
