//! Fresh items: what was put in is found, what was taken out is not, and every number sees its own shard.

use std::collections::BTreeMap;

use index::{
    error::Error,
    filter::{Condition, Described, Filter},
    plan::Strategy,
    shard::{Options, Query, Shard},
    tail::Upsert,
};
use proptest::{
    prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest},
    strategy::{self, Strategy as _},
};

use crate::fixture::{DIM, Owned, brute_force, build_files, random};

/// The delta that the shards here are built with.
const BASE: u64 = 40;

/// One item's part in a delta.
#[derive(Clone, Debug)]
enum Step {
    Put { id: u64, seed: u64, colour: u8 },
    PutWithoutVector(u64),
    TakeOut(u64),
}

/// Items by id, as they stand at some delta: their colour and vector.
type Standing = BTreeMap<u64, (u8, Vec<f32>)>;

fn id(step: &Step) -> u64 {
    match step {
        Step::Put { id, .. } | Step::PutWithoutVector(id) | Step::TakeOut(id) => *id,
    }
}

fn step() -> impl strategy::Strategy<Value = Step> {
    // Some ids are those of rows that the shard was built with.
    let ids = || 0_u64..120;
    prop_oneof![
        4 => (ids(), any::<u32>(), 0_u8..3).prop_map(|(id, seed, colour)| Step::Put { id, seed: seed.into(), colour }),
        1 => ids().prop_map(Step::PutWithoutVector),
        2 => ids().prop_map(Step::TakeOut),
    ]
}

/// The colour of an item that the shard was built with.
fn colour(id: u64) -> u8 {
    (id % 3) as u8
}

fn describe(bytes: &[u8], item: &mut Described<'_>) -> Result<(), Error> {
    let text = std::str::from_utf8(bytes).unwrap();
    let colour = match text.split_once(' ') {
        Some((_, colour)) => colour.parse().unwrap(),
        None => colour(text[6..text.len() - 1].parse().unwrap()),
    };
    item.text("colour", &colour.to_string());
    item.number("colour", f64::from(colour));
    Ok(())
}

fn shard(rows: &Owned, strategy: Strategy) -> Shard<Owned> {
    let options = Options {
        strategy,
        delta: BASE,
        ..Options::default()
    };
    let mut shard = build_files(rows).unwrap().open(rows, &options).unwrap();
    shard.describe(describe).unwrap();
    shard
}

fn apply(shard: &Shard<Owned>, number: u64, steps: &[Step]) -> Result<(), Error> {
    let (mut texts, mut deletes) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Put { id, seed, colour } => {
                let vector = random(DIM, *seed);
                texts.push((*id, format!("{id} {colour}"), Some(vector)));
            }
            Step::PutWithoutVector(id) => texts.push((*id, format!("{id} 0"), None)),
            Step::TakeOut(id) => deletes.push(*id),
        }
    }
    let upserts = texts.iter().map(|(id, text, vector)| Upsert {
        id: *id,
        bytes: text.as_bytes(),
        vector: vector.as_deref(),
    });
    shard.apply(number, &upserts.collect::<Vec<_>>(), &deletes, describe)
}

/// The same by definition.
fn follow(standing: &mut Standing, steps: &[Step]) {
    for step in steps {
        standing.remove(&id(step));
        if let Step::Put { id, seed, colour } = step {
            standing.insert(*id, (*colour, random(DIM, *seed)));
        }
    }
}

/// Keeps the first step of each item.
fn distinct(mut steps: Vec<Step>) -> Vec<Step> {
    let mut seen = Vec::new();
    steps.retain(|step| {
        !seen.contains(&id(step)) && {
            seen.push(id(step));
            true
        }
    });
    steps.retain(|step| !matches!(step, Step::Put { seed, .. } if random(DIM, *seed).iter().all(|x| *x == 0.0)));
    steps
}

fn only(colours: &[u8]) -> Filter {
    Filter {
        should: vec![
            Condition::Keyword {
                attribute: "colour".to_owned(),
                values: colours.iter().map(u8::to_string).collect(),
            },
            Condition::HasId(vec![7]),
        ],
        ..Filter::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn every_delta_sees_its_own_shard(
        count in 0_usize..25,
        seed: u64,
        changes in prop::collection::vec(prop::collection::vec(step(), 0..12), 1..8),
        gaps in prop::collection::vec(1_u64..4, 8),
        k in 1_usize..40,
        exclude in prop::collection::btree_set(0_u64..130, 0..20),
        colours in prop::collection::vec(0_u8..3, 0..3),
    ) {
        let rows = Owned::random(count, seed >> 1);
        let vectors = random(2 * DIM, seed >> 2);
        let exclude: Vec<u64> = exclude.into_iter().collect();
        let filter = only(&colours);
        for strategy in [Strategy::Auto, Strategy::Scan, Strategy::Graph] {
            let shard = shard(&rows, strategy);
            let built = rows.ids.iter().zip(rows.vectors.chunks(DIM));
            let mut standing: Standing = built.map(|(id, row)| (*id, (colour(*id), row.to_vec()))).collect();
            let mut history = vec![(BASE, standing.clone())];
            for (steps, gap) in changes.iter().zip(&gaps) {
                let number = shard.delta() + gap;
                let steps = distinct(steps.clone());
                apply(&shard, number, &steps).unwrap();
                follow(&mut standing, &steps);
                history.push((number, standing.clone()));
            }
            for id in 0..200 {
                let stored = shard.item(id).unwrap();
                prop_assert_eq!(stored.is_some(), standing.contains_key(&id));
            }
            let now = shard.passing(&filter);
            let mut passing: Vec<u64> = now.rows.iter().map(|row| rows.ids[*row]).chain(now.fresh).collect();
            passing.sort_unstable();
            let passes = |id: &u64, colour: &u8| colours.contains(colour) || *id == 7;
            let expected: Vec<u64> =
                standing.iter().filter(|(id, (colour, _))| passes(id, colour)).map(|(id, _)| *id).collect();
            prop_assert_eq!(passing, expected);
            for filter in [None, Some(&filter)] {
                for (number, standing) in &history {
                    let query = Query { exclude: &exclude, filter, as_of: Some(*number), ..Query::new(&vectors, k) };
                    let found = shard.search(&query).unwrap();
                    let may = |id: &u64, colour: &u8| {
                        exclude.binary_search(id).is_err() && (filter.is_none() || passes(id, colour))
                    };
                    let mut eligible = Owned { ids: Vec::new(), vectors: Vec::new() };
                    for (id, (colour, vector)) in standing {
                        if may(id, colour) {
                            eligible.ids.push(*id);
                            eligible.vectors.extend(vector);
                        }
                    }
                    let best = brute_force(&eligible, &vectors, k, &[]);
                    prop_assert_eq!(found.hits.len(), best.len());
                    prop_assert_eq!(found.eligible as usize, eligible.ids.len());
                    prop_assert_eq!(found.rows as usize, standing.len());
                    prop_assert_eq!(found.as_of, *number);
                    prop_assert!(found.hits.is_sorted());
                    prop_assert!(found.hits.iter().all(|hit| eligible.ids.contains(&hit.id)));
                    if found.plan.is_exact() {
                        prop_assert_eq!(&found.hits, &best);
                    }
                    for (hit, place) in found.hits.iter().zip(0..) {
                        let built = rows.ids.iter().position(|id| *id == hit.id);
                        let same = built.is_some_and(|row| rows.vectors[row * DIM..][..DIM] == standing[&hit.id].1);
                        prop_assert!(same || found.fresh.contains(&place));
                    }
                }
            }
        }
    }
}

#[test]
fn a_delta_out_of_order_is_refused_and_changes_nothing() {
    let rows = Owned::random(5, 1);
    let shard = shard(&rows, Strategy::Auto);
    let put = |id, seed| {
        [Step::Put {
            id,
            seed,
            colour: 0,
        }]
    };
    apply(&shard, BASE + 2, &put(1, 1)).unwrap();
    for number in [BASE, BASE + 1, BASE + 2] {
        let cause = apply(&shard, number, &put(2, 2)).unwrap_err().to_string();
        let expected = format!("delta {number} comes after 42, it must be greater");
        assert_eq!(cause, expected);
    }
    assert!(shard.item(2).unwrap().is_none());
    assert_eq!(shard.changed(), 1);
}

#[test]
fn a_vector_that_nobody_could_compare_is_refused_and_changes_nothing() {
    let shard = shard(&Owned::random(5, 1), Strategy::Auto);
    let refused = |vector: &[f32]| {
        let upsert = |id, vector| Upsert {
            id,
            bytes: b"1 0",
            vector: Some(vector),
        };
        let good = [1.0; DIM];
        let upserts = [upsert(1, &good), upsert(9, vector)];
        let refused = shard.apply(BASE + 1, &upserts, &[3], describe);
        refused.unwrap_err().to_string()
    };
    let cause = "fresh item 9 has a vector whose squared length is";
    assert!(refused(&[0.0; DIM]).starts_with(cause));
    assert!(refused(&[f32::NAN; DIM]).starts_with(cause));
    let cause = "fresh item 9 has a vector of 2 numbers, the shard has vectors of 24";
    assert_eq!(refused(&[1.0; 2]), cause);
    assert_eq!((shard.delta(), shard.changed()), (BASE, 0));
    assert!(shard.item(3).unwrap().is_some());
}

#[test]
fn a_delta_that_is_not_there_cannot_be_seen() {
    let shard = shard(&Owned::random(5, 1), Strategy::Auto);
    apply(&shard, BASE + 5, &[]).unwrap();
    let query = [1.0; DIM];
    let search = |as_of| {
        shard.search(&Query {
            as_of,
            ..Query::new(&query, 3)
        })
    };
    assert_eq!(search(None).unwrap().as_of, BASE + 5);
    assert_eq!(search(Some(BASE + 2)).unwrap().as_of, BASE + 2);
    for as_of in [BASE - 1, BASE + 6] {
        let cause = search(Some(as_of)).unwrap_err().to_string();
        let expected =
            format!("the shard cannot be searched as of delta {as_of}, only of 40 to 45");
        assert_eq!(cause, expected);
    }
}
