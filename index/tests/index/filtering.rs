//! Filters: as many as there are, all of them passing, the best first, whichever way was searched.

use std::convert::Infallible;

use index::{
    filter::{Condition, Filter},
    hnsw::HnswConfig,
    plan::{Plan, Strategy},
    shard::{Options, Query, Shard},
};
use proptest::{
    prelude::{Just, ProptestConfig, prop, prop_assert, prop_assert_eq, prop_oneof, proptest},
    strategy::{self, Strategy as _},
};

use crate::fixture::{DIM, Files, Owned, brute_force, build_files, build_files_with, random};

/// What the item of row `i` is: one of ten colours, one of 1,000 numbers if `i` is even, and a code that few share.
fn described(i: u64) -> (String, Option<f64>, String) {
    let colour = format!("colour {}", i % 10);
    let number = (i.is_multiple_of(2)).then_some((i * 37 % 1_000) as f64);
    (colour, number, format!("code {}", i / 3))
}

fn shard(rows: &Owned, strategy: Strategy) -> Shard<Owned> {
    let options = Options {
        strategy,
        ..Options::default()
    };
    described_shard(&build_files(rows).unwrap(), rows, &options)
}

fn described_shard(files: &Files, rows: &Owned, options: &Options) -> Shard<Owned> {
    let mut shard = files.open(rows, options).unwrap();
    let Ok(()) = shard.describe(|bytes, item| {
        let id: u64 = std::str::from_utf8(bytes).unwrap()[6..bytes.len() - 1]
            .parse()
            .unwrap();
        let (colour, number, code) = described((id - 3) / 7);
        item.text("colour", &colour);
        item.text("colour", "any");
        item.text("code", &code);
        if let Some(number) = number {
            item.number("number", number);
        }
        Ok::<_, Infallible>(())
    });
    shard
}

/// Whether the item of row `i` passes, by definition.
fn passes(filter: &Filter, i: u64) -> bool {
    let (colour, number, code) = described(i);
    let holds = |condition: &Condition| match condition {
        Condition::Keyword { attribute, values } => {
            values.iter().any(|value| match attribute.as_str() {
                "colour" => *value == colour || value == "any",
                "code" => *value == code,
                _ => false,
            })
        }
        Condition::Range {
            attribute,
            min,
            max,
        } => attribute == "number" && number.is_some_and(|number| (*min..=*max).contains(&number)),
        Condition::HasId(ids) => ids.contains(&(7 * i + 3)),
    };
    filter.must.iter().all(holds)
        && (filter.should.is_empty() || filter.should.iter().any(holds))
        && !filter.must_not.iter().any(holds)
}

fn condition() -> impl strategy::Strategy<Value = Condition> {
    prop_oneof![
        prop::collection::vec(0..12, 0..4).prop_map(|colours| Condition::Keyword {
            attribute: "colour".to_owned(),
            values: colours
                .iter()
                .map(|colour| format!("colour {colour}"))
                .collect(),
        }),
        Just(Condition::Keyword {
            attribute: "colour".to_owned(),
            values: vec!["any".to_owned()],
        }),
        (0_u64..300).prop_map(|code| Condition::Keyword {
            attribute: "code".to_owned(),
            values: vec![format!("code {code}")],
        }),
        (0.0_f64..1_000.0, 0.0_f64..600.0).prop_map(|(min, width)| Condition::Range {
            attribute: "number".to_owned(),
            min,
            max: min + width,
        }),
        prop::collection::vec(0_u64..7_000, 0..40).prop_map(Condition::HasId),
    ]
}

fn filter() -> impl strategy::Strategy<Value = Filter> {
    let conditions = || prop::collection::vec(condition(), 0..3);
    (conditions(), conditions(), conditions()).prop_map(|(must, should, must_not)| Filter {
        must,
        should,
        must_not,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_way_gives_as_many_as_there_are_and_none_that_does_not_pass(
        count in 1_usize..900,
        seed: u64,
        queries in 1_usize..4,
        k in 1_usize..60,
        out in prop::collection::btree_set(0_u64..6_300, 0..60),
        filter in filter(),
    ) {
        let rows = Owned::random(count, seed >> 1);
        let vectors = random(queries * DIM, seed >> 2);
        let exclude: Vec<u64> = out.into_iter().collect();
        let kept = |id: &u64| passes(&filter, (id - 3) / 7) && exclude.binary_search(id).is_err();
        let others: Vec<u64> = rows.ids.iter().copied().filter(|id| !kept(id)).collect();
        let best = brute_force(&rows, &vectors, k, &others);
        for strategy in [Strategy::Auto, Strategy::Scan, Strategy::Graph] {
            let shard = shard(&rows, strategy);
            let query = Query { exclude: &exclude, filter: Some(&filter), ..Query::new(&vectors, k) };
            let found = shard.search(&query).unwrap();
            prop_assert_eq!(found.eligible as usize, count - others.len());
            prop_assert_eq!(found.hits.len(), best.len());
            prop_assert!(found.hits.is_sorted());
            prop_assert!(found.hits.iter().all(|hit| kept(&hit.id)));
            if found.plan.is_exact() {
                let ids = |hits: &[index::hit::Hit]| hits.iter().map(|hit| hit.id).collect::<Vec<_>>();
                prop_assert_eq!(ids(&found.hits), ids(&best));
            }
        }
    }
}

#[test]
fn a_search_of_cells_gives_as_many_as_there_are_and_none_that_does_not_pass() {
    let rows = Owned::random(20_500, 4);
    let quick = HnswConfig {
        connectivity: 4,
        expansion_add: 8,
        ..HnswConfig::default()
    };
    let options = Options {
        strategy: Strategy::Cells,
        ..Options::default()
    };
    let files = build_files_with(&rows, &quick).unwrap();
    let shard = described_shard(&files, &rows, &options);
    let vectors = random(2 * DIM, 9);
    for (attribute, value, k) in [
        ("colour", "any", 50),
        ("colour", "colour 3", 500),
        ("code", "code 7", 5),
    ] {
        let filter = Filter {
            must: vec![Condition::Keyword {
                attribute: attribute.to_owned(),
                values: vec![value.to_owned()],
            }],
            ..Filter::default()
        };
        let exclude = [rows.ids[23], rows.ids[33]];
        let kept = |id: &u64| passes(&filter, (id - 3) / 7) && !exclude.contains(id);
        let others: Vec<u64> = rows.ids.iter().copied().filter(|id| !kept(id)).collect();
        let best = brute_force(&rows, &vectors, k, &others);
        let query = Query {
            exclude: &exclude,
            filter: Some(&filter),
            ..Query::new(&vectors, k)
        };
        let found = shard.search(&query).unwrap();
        assert!(found.plan == Plan::Cells || !has_cells());
        assert_eq!(found.hits.len(), best.len());
        assert!(found.hits.iter().all(|hit| kept(&hit.id)));
        let near = best
            .iter()
            .filter(|hit| found.hits.iter().any(|other| other.id == hit.id));
        assert!(near.count() * 100 >= best.len() * 99, "{attribute} {value}");
    }
}

/// Whether this machine scans rows in 8 bits, without which there are no cells.
fn has_cells() -> bool {
    cfg!(target_arch = "x86_64") && is_x86_feature_detected!("avx512vnni")
}

#[test]
fn the_plan_follows_from_how_many_pass() {
    let rows = Owned::random(4_000, 8);
    let shard = shard(&rows, Strategy::Graph);
    let vectors = random(DIM, 9);
    let plan = |condition: Condition| {
        let filter = Filter {
            must: vec![condition],
            ..Filter::default()
        };
        let query = Query {
            filter: Some(&filter),
            ..Query::new(&vectors, 10)
        };
        shard.search(&query).unwrap().plan
    };
    let keyword = |attribute: &str, value: &str| Condition::Keyword {
        attribute: attribute.to_owned(),
        values: vec![value.to_owned()],
    };
    assert_eq!(plan(keyword("colour", "any")), Plan::Graph { fetch: 10 });
    assert_eq!(
        plan(keyword("colour", "colour 3")),
        Plan::Graph { fetch: 120 }
    );
    assert_eq!(plan(keyword("code", "code 7")), Plan::Matches);
    assert_eq!(plan(keyword("colour", "none")), Plan::Matches);
}
