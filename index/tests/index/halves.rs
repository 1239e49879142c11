//! Rows that were rounded to 16 bits a number: every search is one of what they were rounded to.

use std::{
    collections::BTreeSet,
    fs::{self, File},
};

use half::f16;
use index::{
    build,
    error::Error,
    exact,
    plan::Strategy,
    rows::halves,
    shard::{Options, Query, Rows, RowsView, Shard},
    tail::Upsert,
};
use proptest::prelude::*;

use crate::{
    cells,
    fixture::{DIM, Owned, build_files, random},
};

/// Rounded rows in memory.
#[derive(Clone, Debug)]
struct Halved {
    ids: Vec<u64>,
    vectors: Vec<f16>,
}

impl Rows for Halved {
    fn view(&self) -> RowsView<'_> {
        RowsView::halves(&self.ids, &self.vectors, DIM)
    }
}

/// Rounds rows; returns them, and as the f32 that they are then.
fn rounded(rows: &Owned) -> (Halved, Owned) {
    let halved = Halved {
        ids: rows.ids.clone(),
        vectors: halves::round(rows.view()).unwrap(),
    };
    let mut widened = rows.clone();
    halves::widen(&halved.vectors, &mut widened.vectors);
    (halved, widened)
}

/// A shard of rounded rows, and what they are.
fn shard(rows: &Owned, strategy: Strategy) -> (Shard<Halved>, Owned) {
    let (halved, widened) = rounded(rows);
    let files = build_files(&widened).unwrap();
    let file = |name| File::open(files.path(name)).unwrap();
    let options = Options {
        strategy,
        ..Options::default()
    };
    let shard = Shard::open(halved, file("graph"), file("items"), None, &options);
    (shard.unwrap(), widened)
}

/// Rows whose numbers cannot be kept in 16 bits.
fn fractions(count: usize, seed: u64) -> Owned {
    let mut rows = Owned::random(count, seed);
    rows.vectors.iter_mut().for_each(|number| *number /= 7.0);
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn every_search_scores_rounded_rows_as_the_f32_that_they_are(
        count in 1_usize..300,
        seed: u64,
        queries in 1_usize..6,
        k in 1_usize..40,
        walk in any::<bool>(),
    ) {
        let rows = fractions(count, seed >> 1);
        let strategy = if walk { Strategy::Graph } else { Strategy::Auto };
        let (shard, widened) = shard(&rows, strategy);
        let queries = random(queries * DIM, seed >> 2);
        let all = exact::scan(widened.view(), &queries, count, &[]);
        let scanned = exact::scan(shard.rows(), &queries, count, &[]);
        prop_assert_eq!(&scanned, &all);
        let best = shard.search(&Query { exact: true, ..Query::new(&queries, k) }).unwrap();
        prop_assert_eq!(&best.hits[..], &all[..k.min(count)]);
        let found = shard.search(&Query::new(&queries, k)).unwrap();
        prop_assert_eq!(found.hits.len(), k.min(count));
        prop_assert!(found.hits.iter().all(|hit| all.binary_search(hit).is_ok()));
        let mut vector = Vec::new();
        prop_assert!(shard.vector(rows.ids[count - 1], None, &mut vector).unwrap());
        prop_assert_eq!(&vector[..], &widened.vectors[(count - 1) * DIM..]);
    }
}

#[test]
fn rounded_rows_find_what_the_rows_as_they_were_do() {
    let mut rows = Owned::random(5_000, 1);
    let centers = random(50 * DIM, 2);
    for (row, vector) in rows.vectors.chunks_exact_mut(DIM).enumerate() {
        let center = &centers[row * 7 % 50 * DIM..][..DIM];
        for (number, center) in vector.iter_mut().zip(center) {
            *number += 4.0 * center;
        }
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|number| *number /= length);
    }
    let (halved, _) = rounded(&rows);
    let ids = |view: RowsView<'_>, query: &[f32]| -> BTreeSet<u64> {
        let hits = exact::scan(view, query, 100, &[]);
        hits.iter().map(|hit| hit.id).collect()
    };
    let queries = rows.vectors.chunks_exact(DIM).step_by(100);
    let common = queries.clone().map(|query| {
        let best = ids(rows.view(), query);
        best.intersection(&ids(halved.view(), query)).count()
    });
    let recall = common.sum::<usize>() as f64 / (100 * queries.len()) as f64;
    assert!(recall >= 0.99, "recall@100 is {recall}");
}

#[test]
fn rounded_rows_have_the_cells_of_what_they_are() {
    let (halved, widened) = rounded(&fractions(20_000, 1));
    let dir = tempfile::tempdir().unwrap();
    let written = |name: &str, rows: RowsView<'_>| {
        let path = dir.path().join(name);
        assert!(build::cells(rows, 0, &path).unwrap());
        fs::read(path).unwrap()
    };
    assert!(written("halved", halved.view()) == written("widened", widened.view()));
}

#[test]
fn a_search_of_cells_finds_in_rounded_rows_what_it_does_in_what_they_are() {
    let (halved, widened) = rounded(&cells::grouped());
    let files = cells::files(&widened);
    assert!(build::cells(widened.view(), 0, &files.path("cells")).unwrap());
    let options = Options {
        strategy: Strategy::Cells,
        ..Options::default()
    };
    let file = |name| File::open(files.path(name)).unwrap();
    let cells = Some(file("cells"));
    let shard = Shard::open(halved, file("graph"), file("items"), cells, &options).unwrap();
    let of_f32 = files.open(&widened, &options).unwrap();
    for seed in 3..13 {
        let queries = random(3 * DIM, seed);
        let query = Query::new(&queries, 50);
        let found = shard.search(&query).unwrap();
        assert_eq!(found, of_f32.search(&query).unwrap());
    }
}

#[test]
fn fresh_rows_stand_beside_rounded_ones_as_they_came() {
    let rows = fractions(100, 1);
    let (shard, _) = shard(&rows, Strategy::Auto);
    let vector = fractions(1, 2).vectors;
    let upsert = Upsert {
        id: 4,
        bytes: b"{}",
        vector: Some(&vector[..]),
    };
    let applied = shard.apply(1, &[upsert], &[], |_, _| Ok::<_, Error>(()));
    applied.unwrap();
    let mut found = Vec::new();
    assert!(shard.vector(4, None, &mut found).unwrap());
    assert_eq!(found, vector);
    let query = Query {
        fresh_only: true,
        ..Query::new(&vector, 1)
    };
    let found = shard.search(&query).unwrap();
    let one = RowsView::new(&[4], &vector, DIM);
    assert_eq!(found.hits, exact::scan(one, &vector, 1, &[]));
}
