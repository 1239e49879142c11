//! The cells of a large shard: kept in a file, they answer as those that are found when it is opened.

use std::fs;

use index::{
    build,
    hnsw::HnswConfig,
    plan::{Plan, Strategy},
    shard::{Options, Query, Rows as _},
};

use crate::fixture::{DIM, Files, Owned, build_files_with, random};

/// As many rows as are divided, in a hundred groups.
pub(crate) fn grouped() -> Owned {
    let mut rows = Owned::random(20_000, 1);
    let centers = random(100 * DIM, 2);
    for (row, vector) in rows.vectors.chunks_exact_mut(DIM).enumerate() {
        let center = &centers[row * 7 % 100 * DIM..][..DIM];
        for (number, center) in vector.iter_mut().zip(center) {
            *number += 4.0 * center;
        }
    }
    rows
}

/// The files of a shard without cells; its graph is soon made, and finds little.
pub(crate) fn files(rows: &Owned) -> Files {
    let config = HnswConfig {
        connectivity: 2,
        expansion_add: 2,
        ..HnswConfig::default()
    };
    build_files_with(rows, &config).unwrap()
}

#[test]
fn kept_cells_answer_as_those_found_at_opening() {
    let rows = grouped();
    let files = files(&rows);
    let options = Options {
        strategy: Strategy::Cells,
        ..Options::default()
    };
    let found = files.open(&rows, &options).unwrap();
    assert!(build::cells(rows.view(), 0, &files.path("cells")).unwrap());
    let kept = files.open(&rows, &options).unwrap();
    let mut plans = Vec::new();
    for tier in [0, 2] {
        found.set_tier(tier);
        kept.set_tier(tier);
        for seed in 3..13 {
            let queries = random(3 * DIM, seed);
            let query = Query::new(&queries, 50);
            let answer = kept.search(&query).unwrap();
            plans.push(answer.plan);
            assert_eq!(answer, found.search(&query).unwrap());
        }
    }
    // Other machines compare all rows.
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512vnni") {
        assert!(plans.contains(&Plan::Cells), "{plans:?}");
    }
}

#[test]
fn the_same_rows_make_the_same_file_by_any_number_of_threads() {
    let rows = grouped();
    let dir = tempfile::tempdir().unwrap();
    let written = |threads: usize| {
        let path = dir.path().join(threads.to_string());
        build::cells(rows.view(), threads, &path).unwrap();
        fs::read(path).unwrap()
    };
    assert!(written(1) == written(3));
}

#[test]
fn few_rows_need_no_file() {
    let rows = Owned::random(19_999, 1);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cells");
    assert!(!build::cells(rows.view(), 0, &path).unwrap());
    assert!(!path.exists());
}

#[test]
fn cells_that_are_damaged_are_refused_by_the_shard() {
    let rows = grouped();
    let files = files(&rows);
    let path = files.path("cells");
    build::cells(rows.view(), 0, &path).unwrap();
    let whole = fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let opened = files.open(&rows, &Options::default());
        opened.unwrap_err().to_string()
    };
    assert!(refused(&whole[..whole.len() - 4]).starts_with("cells: size in bytes is"));
    let mut twice = whole.clone();
    twice[whole.len() - 4..].copy_from_slice(&whole[whole.len() - 8..whole.len() - 4]);
    assert!(refused(&twice).starts_with("cells: row of a cell is"));
}
