//! Candidates that differ, and such that did not score best.

use std::collections::BTreeMap;

use proto::v1::{
    AttributeCap, Blend, Diversity, Item, ListPopularItemsRequest, RecallOptions, RecallRequest,
    SimilarItemsRequest, Source, UserQuery, catalog_service_client::CatalogServiceClient,
    feature_value::Kind, recall_service_client::RecallServiceClient,
};

use crate::house::{
    recall::{item, recall, user},
    support::{RUNTIME, SMALL},
    truth::{Truth, dot, items},
};

fn genres(item: &Item) -> Vec<String> {
    let value = item.features.as_ref().unwrap().values.get("genres");
    match value.and_then(|value| value.kind.clone()) {
        Some(Kind::List(list)) => list.values,
        other => panic!("{other:?}"),
    }
}

async fn ids(request: RecallRequest) -> Vec<u64> {
    let request = RecallRequest {
        options: Some(RecallOptions {
            exact: true,
            reproducible: true,
            ..Default::default()
        }),
        ..request
    };
    let answer = recall(request).await.unwrap();
    assert!(answer.degraded_reasons.is_empty());
    answer.candidates.iter().map(|one| one.id).collect()
}

fn query(index: usize) -> UserQuery {
    UserQuery {
        user_id: user(index).user_id,
        ..Default::default()
    }
}

#[test]
fn no_genre_has_more_items_than_its_cap_and_the_best_that_fit_are_taken() {
    RUNTIME.block_on(async {
        let truth = Truth::of(query(11)).await;
        let ranking = truth.ranking();
        let described = items(&ranking).await;
        let mut counts = BTreeMap::new();
        let mut fitting = Vec::new();
        for id in ranking {
            let genres = genres(&described[&id]);
            if genres
                .iter()
                .all(|genre| counts.get(genre).unwrap_or(&0) < &3)
            {
                genres
                    .into_iter()
                    .for_each(|genre| *counts.entry(genre).or_insert(0) += 1);
                fitting.push(id);
            }
        }
        let capped = |page_size| RecallRequest {
            page_size,
            diversity: Some(Diversity {
                caps: vec![AttributeCap {
                    attribute: "genres".to_owned(),
                    most: 3,
                }],
                ..Default::default()
            }),
            ..user(11)
        };
        assert_eq!(ids(capped(4)).await, fitting[..4]);
        // More than there can be: all that fit, out of all there are.
        assert_eq!(ids(capped(100)).await, fitting);
    });
}

#[test]
fn mmr_takes_the_candidate_that_is_good_and_new_place_by_place() {
    RUNTIME.block_on(async {
        let truth = Truth::of(query(12)).await;
        let ranking = truth.ranking();
        let (lambda, k) = (0.6, 8);
        let cosine = |a: &u64, b: &u64| {
            let (a, b) = (&truth.vectors[a], &truth.vectors[b]);
            f64::from(dot(a, b)) / f64::from((dot(a, a) * dot(b, b)).sqrt())
        };
        let top = f64::from(truth.score(ranking[0]).abs());
        let mut left = ranking[..5 * k].to_vec();
        let mut chosen: Vec<u64> = Vec::new();
        while chosen.len() < k {
            let worth = |id: &u64| {
                let similar = chosen.iter().map(|other| cosine(id, other));
                let similar = similar.reduce(f64::max).unwrap_or(0.0);
                lambda * f64::from(truth.score(*id)) / top - (1.0 - lambda) * similar
            };
            let best = left
                .iter()
                .copied()
                .reduce(|a, b| if worth(&b) > worth(&a) { b } else { a });
            let best = best.unwrap();
            left.retain(|id| *id != best);
            chosen.push(best);
        }
        let asked = RecallRequest {
            page_size: k as u32,
            diversity: Some(Diversity {
                mmr_lambda: Some(lambda),
                ..Default::default()
            }),
            ..user(12)
        };
        let found = ids(asked).await;
        assert_eq!(found, chosen);
        assert_ne!(found, ranking[..k], "nothing was similar to anything");
    });
}

#[test]
fn a_weight_of_an_interest_multiplies_its_scores() {
    RUNTIME.block_on(async {
        let plain = RecallRequest {
            page_size: 5,
            ..user(13)
        };
        let doubled = RecallRequest {
            diversity: Some(Diversity {
                interest_weights: vec![2.0],
                ..Default::default()
            }),
            ..plain.clone()
        };
        let (plain, doubled) = (recall(plain).await.unwrap(), recall(doubled).await.unwrap());
        assert_eq!((plain.candidates.len(), doubled.candidates.len()), (5, 5));
        for (plain, doubled) in plain.candidates.iter().zip(&doubled.candidates) {
            assert_eq!(plain.id, doubled.id);
            assert!((2.0 * plain.score - doubled.score).abs() < 1e-4 * plain.score.abs());
        }
    });
}

#[test]
fn popular_items_have_their_places_at_the_end_of_the_page() {
    RUNTIME.block_on(async {
        let asked = RecallRequest {
            page_size: 10,
            blend: Some(Blend {
                popular: 3,
                fresh: 2,
            }),
            ..user(14)
        };
        let answer = recall(asked).await.unwrap();
        let truth = Truth::of(query(14)).await;
        let ranking = truth.ranking();
        let found: Vec<u64> = answer.candidates.iter().map(|one| one.id).collect();
        assert_eq!(found[..5], ranking[..5]);
        let request = ListPopularItemsRequest {
            k: 1_000,
            ..Default::default()
        };
        let mut catalog = CatalogServiceClient::new(SMALL.gateway().await);
        let popular = catalog
            .list_popular_items(request)
            .await
            .unwrap()
            .into_inner();
        let new = |id: &u64| !truth.seen.contains(id) && !found[..5].contains(id);
        let popular: Vec<u64> = popular.ids.into_iter().filter(new).take(3).collect();
        // Nothing is fresh here, so that the popular ones come at once, and the best that are left fill the page.
        assert_eq!(found[5..8], popular);
        for (place, one) in answer.candidates.iter().enumerate() {
            assert_eq!(one.source() == Source::Popular, (5..8).contains(&place));
        }
        assert_eq!(found.len(), 10);
    });
}

#[test]
fn similar_items_are_the_nearest_by_any_of_those_named() {
    RUNTIME.block_on(async {
        let truth = Truth::of(query(0)).await;
        let named: Vec<u64> = truth.vectors.keys().copied().take(2).collect();
        let mut ranking: Vec<(u64, f32, u32)> = truth
            .vectors
            .iter()
            .filter(|(id, _)| !named.contains(id))
            .map(|(id, vector)| {
                let scores = named.iter().map(|id| dot(&truth.vectors[id], vector));
                let best = scores.zip(0..).reduce(|a, b| if b.0 > a.0 { b } else { a });
                let (score, place) = best.unwrap();
                (*id, score, place)
            })
            .collect();
        ranking.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let unknown = 1 << 60;
        // The unknown one stands first: the others keep their places.
        let asked = [unknown, named[0], named[1]];
        let request = SimilarItemsRequest {
            items: asked.iter().filter_map(|id| item(*id)).collect(),
            page_size: 12,
            ..Default::default()
        };
        let answer = RecallServiceClient::new(SMALL.gateway().await)
            .similar_items(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.missing, [item(unknown).unwrap()]);
        assert_eq!(answer.coverage.unwrap().fraction, 1.0);
        assert_eq!(answer.candidates.len(), 12);
        for (found, (id, score, place)) in answer.candidates.iter().zip(&ranking) {
            assert_eq!((found.id, found.interest), (*id, place + 1));
            assert!((found.score - score).abs() < 1e-5);
        }
    });
}
