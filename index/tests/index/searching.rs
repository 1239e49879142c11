//! Searching: complete, in order, without the excluded, by scan or by graph.

use std::sync::Barrier;

use index::{
    exact,
    hnsw::{Hnsw, HnswConfig},
    plan::{Plan, Strategy},
    shard::{Options, Query, Rows as _},
};
use proptest::prelude::*;

use crate::fixture::{DIM, Owned, brute_force, build_files, build_files_with, random, walked};

fn exactly(vectors: &[f32], k: usize) -> Query<'_> {
    Query {
        exact: true,
        ..Query::new(vectors, k)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_scan_is_brute_force(
        count in 1_usize..300,
        seed: u64,
        queries in 1_usize..6,
        k in 0_usize..40,
        out in prop::collection::btree_set(0_u64..2_200, 0..60),
    ) {
        let rows = Owned::random(count, seed >> 1);
        let queries = random(queries * DIM, seed >> 2);
        let exclude: Vec<u64> = out.into_iter().collect();
        let hits = exact::scan(rows.view(), &queries, k, &exclude);
        let expected = brute_force(&rows, &queries, k, &exclude);
        prop_assert_eq!(hits, expected);
    }

    #[test]
    fn a_shard_answers_in_full_and_never_an_excluded_item(
        count in 1_usize..900,
        seed: u64,
        queries in 1_usize..4,
        k in 1_usize..60,
        few in any::<bool>(),
        cut in 0_usize..900,
    ) {
        let rows = Owned::random(count, seed >> 1);
        let queries = random(queries * DIM, seed >> 2);
        // A few items are excluded, or all but a few; and some that the shard does not have.
        let out = |(i, _): &(usize, &u64)| if few { i % 31 == cut % 31 } else { *i >= cut % 80 };
        let out: Vec<u64> = rows.ids.iter().enumerate().filter(out).map(|(_, id)| *id).collect();
        let eligible = count - out.len();
        let exclude: Vec<u64> = out.iter().flat_map(|id| [*id, id + 1]).collect();
        let shard = walked(&rows);
        for exact in [false, true] {
            let found = shard.search(&Query { exclude: &exclude, exact, ..Query::new(&queries, k) }).unwrap();
            prop_assert_eq!(found.eligible, eligible as u64);
            prop_assert_eq!(found.searched, eligible as u64);
            prop_assert_eq!(found.hits.len(), k.min(eligible));
            prop_assert!(found.hits.is_sorted());
            prop_assert!(found.hits.iter().all(|hit| exclude.binary_search(&hit.id).is_err()));
            prop_assert!(found.plan.is_exact() || !exact);
            let mut ids: Vec<_> = found.hits.iter().map(|hit| hit.id).collect();
            ids.sort_unstable();
            ids.dedup();
            prop_assert_eq!(ids.len(), found.hits.len());
            if found.plan.is_exact() {
                prop_assert_eq!(found.hits, brute_force(&rows, &queries, k, &exclude));
            }
        }
    }
}

#[test]
fn the_graph_finds_what_the_scan_finds_with_the_same_scores() {
    let rows = Owned::random(3_000, 5);
    let shard = walked(&rows);
    let (mut common, mut wanted) = (0, 0);
    for seed in 0..20 {
        let queries = random(3 * DIM, 100 + seed);
        let walked = shard.search(&Query::new(&queries, 50)).unwrap();
        let scanned = shard.search(&exactly(&queries, 50)).unwrap();
        assert!(!walked.plan.is_exact() && scanned.plan.is_exact());
        wanted += scanned.hits.len();
        for hit in &walked.hits {
            let same = scanned.hits.iter().find(|other| other.id == hit.id);
            if let Some(same) = same {
                assert_eq!(hit.score.to_bits(), same.score.to_bits());
                assert_eq!(hit.interest, same.interest);
                common += 1;
            }
        }
    }
    assert!(common * 100 >= wanted * 95, "{common} of {wanted}");
}

#[test]
fn what_is_excluded_is_fetched_on_top() {
    let rows = Owned::random(4_000, 6);
    let shard = walked(&rows);
    let query = random(DIM, 7);
    let mut exclude: Vec<u64> = shard
        .search(&exactly(&query, 200))
        .unwrap()
        .hits
        .iter()
        .map(|hit| hit.id)
        .collect();
    exclude.sort_unstable();
    let found = shard
        .search(&Query {
            exclude: &exclude,
            ..Query::new(&query, 50)
        })
        .unwrap();
    assert!(!found.plan.is_exact());
    assert_eq!(found.hits.len(), 50);
    assert!(
        found
            .hits
            .iter()
            .all(|hit| exclude.binary_search(&hit.id).is_err())
    );
}

#[test]
fn small_shards_are_scanned_by_default() {
    let rows = Owned::random(50, 1);
    let shard = build_files(&rows)
        .unwrap()
        .open(&rows, &Options::default())
        .unwrap();
    let found = shard.search(&Query::new(&random(DIM, 2), 5)).unwrap();
    assert_eq!(found.plan, Plan::Scan);
}

#[test]
fn a_huge_k_is_bounded_before_it_reaches_the_graph() {
    let rows = Owned::random(64, 1);
    let config = HnswConfig::default();
    let graph = Hnsw::build(rows.view(), &config, &|_| {}).unwrap();
    assert_eq!(graph.search(&random(DIM, 2), usize::MAX).unwrap().len(), 64);
    let found = walked(&rows)
        .search(&Query::new(&random(DIM, 2), usize::MAX))
        .unwrap();
    assert_eq!(found.hits.len(), 64);
}

#[test]
fn more_threads_than_the_graph_has_room_for_wait_their_turn() {
    let rows = Owned::random(2_000, 3);
    let options = Options {
        strategy: Strategy::Graph,
        hnsw: HnswConfig {
            threads: 2,
            ..HnswConfig::default()
        },
        ..Options::default()
    };
    let shard = build_files(&rows).unwrap().open(&rows, &options).unwrap();
    let start = Barrier::new(16);
    std::thread::scope(|scope| {
        for seed in 0..16 {
            let (shard, start) = (&shard, &start);
            scope.spawn(move || {
                let query = random(DIM, seed);
                start.wait();
                let first = shard.search(&Query::new(&query, 10)).unwrap();
                assert!(!first.plan.is_exact());
                for _ in 0..50 {
                    assert_eq!(shard.search(&Query::new(&query, 10)).unwrap(), first);
                }
            });
        }
    });
}

#[test]
fn a_higher_tier_finds_more() {
    let rows = Owned::random(4_000, 3);
    let config = HnswConfig {
        connectivity: 4,
        expansion_add: 16,
        expansion_search: 8,
        ..HnswConfig::default()
    };
    let options = Options {
        strategy: Strategy::Graph,
        hnsw: config.clone(),
        ..Options::default()
    };
    let shard = build_files_with(&rows, &config)
        .unwrap()
        .open(&rows, &options)
        .unwrap();
    let found = |tier| {
        shard.set_tier(tier);
        let hits = random(100 * DIM, 9);
        let hits = hits.chunks_exact(DIM).map(|query| {
            let found = shard.search(&Query::new(query, 10)).unwrap();
            assert!(!found.plan.is_exact());
            let best = brute_force(&rows, query, 10, &[]);
            best.iter()
                .filter(|hit| found.hits.iter().any(|other| other.id == hit.id))
                .count()
        });
        hits.sum::<usize>()
    };
    let (first, last) = (found(0), found(usize::MAX));
    assert_eq!(shard.tier(), index::shard::TIERS);
    assert!(last > first + 100, "{first} of 1000, then {last}");
}

#[test]
fn bad_queries_are_refused_by_number() {
    let rows = Owned::random(50, 1);
    let shard = walked(&rows);
    let refused = |queries: &[f32], exclude: &[u64]| {
        shard
            .search(&Query {
                exclude,
                ..exactly(queries, 5)
            })
            .unwrap_err()
            .to_string()
    };
    let mut queries = random(2 * DIM, 3);
    assert_eq!(
        refused(&queries[1..], &[]),
        "queries have 47 numbers, the shard has vectors of 24"
    );
    assert_eq!(
        refused(&[], &[]),
        "queries have 0 numbers, the shard has vectors of 24"
    );
    assert_eq!(
        refused(&queries, &[4, 9, 9]),
        "excluded id 9 at 2 is not greater than 9 before it"
    );
    queries[DIM] = f32::NAN;
    assert!(refused(&queries, &[]).starts_with("query 1 has squared length NaN"));
    queries[DIM..].fill(0.0);
    assert!(refused(&queries, &[]).starts_with("query 1 has squared length 0"));
    queries[DIM] = 1e30;
    assert!(refused(&queries, &[]).starts_with("query 1 has squared length inf"));
}
