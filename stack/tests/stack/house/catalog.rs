//! What of the catalog a recall gives, and reading it.

use encoder::features::Value;
use proto::v1::{
    self as pb, Exclude, GetItemsRequest, ItemRef, ListPopularItemsRequest, RecallOptions,
    RecallRequest, catalog_service_client::CatalogServiceClient, condition::Kind, item_ref::Name,
};

use crate::house::{
    recall::{ids, item, recall, seen, user},
    support::{RUNTIME, SMALL},
};

#[test]
fn a_filter_leaves_only_items_that_pass_and_as_many_as_there_are() {
    let keyword = |values: &[&str]| pb::Condition {
        kind: Some(Kind::Keyword(pb::KeywordIn {
            attribute: "genres".to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
        })),
    };
    let filter = pb::Filter {
        should: vec![keyword(&["Horror"]), keyword(&["Comedy", "Western"])],
        must_not: vec![keyword(&["Drama"])],
        ..pb::Filter::default()
    };
    let passes = |id: u64| {
        let mut items = SMALL.dataset().items.iter();
        let item = items.find(|item| item.id == id).unwrap();
        let Value::List(genres) = &item.features["genres"] else {
            panic!("item {id} has no genres");
        };
        let any = |of: &[&str]| genres.iter().any(|genre| of.contains(&genre.as_str()));
        any(&["Horror", "Comedy", "Western"]) && !any(&["Drama"])
    };
    let request = |user_id: &str| RecallRequest {
        user_id: user_id.to_owned(),
        page_size: 1_000,
        filter: Some(filter.clone()),
        ..Default::default()
    };
    RUNTIME.block_on(async {
        // A user of whom nothing is known may get every item that passes.
        let all = recall(request("nobody")).await.unwrap();
        let eligible = all.coverage.unwrap().items_eligible;
        let all = ids(&all.candidates);
        assert!(all.len() > 10 && all.iter().all(|id| passes(*id)));
        assert_eq!(eligible, all.len() as u64);

        let user_id = user(3).user_id;
        let answer = recall(request(&user_id)).await.unwrap();
        let unseen = &all - &seen(&user_id).await;
        assert_eq!(ids(&answer.candidates), unseen);
        assert_eq!(answer.coverage.unwrap().items_eligible, unseen.len() as u64);

        let mut catalog = CatalogServiceClient::new(SMALL.gateway().await);
        let popular = ListPopularItemsRequest {
            k: 10,
            filter: Some(filter.clone()),
            ..Default::default()
        };
        let popular = catalog
            .list_popular_items(popular)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(popular.ids.len(), 10);
        assert!(popular.ids.iter().all(|id| passes(*id)));
        assert!(popular.counts.is_sorted_by(|a, b| a >= b));
    });
}

#[test]
fn excluded_items_stay_out_and_unknown_ones_do_no_harm() {
    RUNTIME.block_on(async {
        let before = recall(RecallRequest {
            page_size: 5,
            ..user(5)
        })
        .await
        .unwrap();
        let mut items: Vec<ItemRef> = before
            .candidates
            .iter()
            .filter_map(|candidate| item(candidate.id))
            .collect();
        items.push(ItemRef {
            name: Some(Name::Id(u64::MAX)),
        });
        items.push(ItemRef {
            name: Some(Name::Key("no such key".to_owned())),
        });
        let exclude = Some(Exclude {
            items,
            ..Default::default()
        });
        let after = recall(RecallRequest {
            page_size: 5,
            exclude,
            ..user(5)
        })
        .await
        .unwrap();
        assert_eq!(after.candidates.len(), 5);
        assert!(ids(&before.candidates).is_disjoint(&ids(&after.candidates)));
    });
}

#[test]
fn seen_items_come_back_when_the_caller_allows_them() {
    RUNTIME.block_on(async {
        let exclude = Some(Exclude {
            allow_seen: true,
            ..Default::default()
        });
        let all = recall(RecallRequest {
            page_size: 1_000,
            exclude,
            ..user(9)
        })
        .await
        .unwrap();
        let coverage = all.coverage.unwrap();
        assert_eq!(coverage.items_eligible, coverage.items_total);
        assert_eq!(all.candidates.len() as u64, coverage.items_total);
    });
}

#[test]
fn candidates_carry_titles_when_asked() {
    RUNTIME.block_on(async {
        let options = Some(RecallOptions {
            with_item: true,
            ..Default::default()
        });
        let answer = recall(RecallRequest {
            page_size: 5,
            options,
            ..user(1)
        })
        .await
        .unwrap();
        for candidate in answer.candidates {
            let known = SMALL
                .dataset()
                .items
                .iter()
                .find(|item| item.id == candidate.id)
                .unwrap();
            assert_eq!(candidate.item.unwrap().title, known.title);
        }
    });
}

#[test]
fn the_catalog_answers_for_every_shard_and_names_what_is_missing() {
    RUNTIME.block_on(async {
        let mut catalog = CatalogServiceClient::new(SMALL.gateway().await);
        let popular = catalog
            .list_popular_items(ListPopularItemsRequest {
                k: 20,
                ..Default::default()
            })
            .await
            .unwrap();
        let popular = popular.into_inner();
        assert_eq!(popular.ids.len(), 20);
        assert!(popular.counts.is_sorted_by(|a, b| a >= b));

        let items = popular
            .ids
            .iter()
            .filter_map(|&id| item(id))
            .chain(item(u64::MAX))
            .collect();
        let found = catalog
            .get_items(GetItemsRequest {
                items,
                ..Default::default()
            })
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            found.items.iter().map(|item| item.id).collect::<Vec<_>>(),
            popular.ids
        );
        assert_eq!(
            found.missing,
            vec![pb::ItemRef {
                name: Some(Name::Id(u64::MAX))
            }]
        );
    });
}
