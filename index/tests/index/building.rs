//! Building: items come back, and vectors that nobody could compare are refused by row.

use std::sync::atomic::{AtomicUsize, Ordering};

use index::{
    build::build,
    hnsw::HnswConfig,
    shard::{Options, Query, Rows as _},
};

use crate::fixture::{Owned, build_files, walked};

#[test]
fn items_are_read_back_by_id() {
    let rows = Owned::random(100, 1);
    let shard = walked(&rows);
    assert_eq!(shard.len(), 100);
    let item = shard.item(17).unwrap().unwrap();
    assert_eq!((item.id, &*item.bytes), (17, &b"{\"id\":17}"[..]));
    assert!(shard.item(18).unwrap().is_none());
}

#[test]
fn an_empty_shard_is_a_shard() {
    let rows = Owned::random(0, 1);
    let shard = build_files(&rows)
        .unwrap()
        .open(&rows, &Options::default())
        .unwrap();
    assert!(shard.is_empty());
    let found = shard
        .search(&Query {
            exclude: &[3],
            ..Query::new(&[1.0; 24], 5)
        })
        .unwrap();
    assert_eq!((found.hits.len(), found.eligible), (0, 0));
    assert!(shard.item(3).unwrap().is_none());
}

#[test]
fn progress_counts_every_row() {
    let rows = Owned::random(500, 1);
    let dir = tempfile::tempdir().unwrap();
    let count = AtomicUsize::new(0);
    let progress = |more| {
        count.fetch_add(more, Ordering::Relaxed);
    };
    let paths = (dir.path().join("graph"), dir.path().join("items"));
    build(
        rows.view(),
        &vec![""; 500],
        &HnswConfig::default(),
        None,
        &paths.0,
        &paths.1,
        &progress,
    )
    .unwrap();
    assert_eq!(count.into_inner(), 500);
}

/// The error of building rows after `spoil` had its way.
fn refused(spoil: impl FnOnce(&mut Owned)) -> String {
    let mut rows = Owned::random(10, 1);
    spoil(&mut rows);
    build_files(&rows).err().unwrap().to_string()
}

#[test]
fn vectors_that_nobody_could_compare_are_refused_by_row() {
    for (value, words) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (1e20, "inf")] {
        let cause = refused(|rows| rows.vectors[4 * 24 + 5] = value);
        assert!(
            cause.starts_with("row 4 (item 31) has a vector whose squared length is"),
            "{cause}"
        );
        assert!(cause.contains(words), "{cause}");
    }
    let cause = refused(|rows| rows.vectors[9 * 24..].fill(0.0));
    assert!(
        cause.starts_with("row 9 (item 66) has a vector whose squared length is 0"),
        "{cause}"
    );
}

#[test]
fn an_id_twice_is_refused_by_row() {
    let cause = refused(|rows| rows.ids[3] = rows.ids[2]);
    assert_eq!(
        cause,
        "row 3 has item id 17, which is not greater than 17 of the row before"
    );
}

#[test]
fn items_of_another_count_are_refused() {
    let rows = Owned::random(10, 1);
    let dir = tempfile::tempdir().unwrap();
    let (graph, items) = (dir.path().join("graph"), dir.path().join("items"));
    let cause = build(
        rows.view(),
        &["", ""],
        &HnswConfig::default(),
        None,
        &graph,
        &items,
        &|_| {},
    )
    .unwrap_err();
    assert_eq!(
        cause.to_string(),
        "items: number of items is 2, expected 10"
    );
    assert!(!graph.exists() && !items.exists());
}
