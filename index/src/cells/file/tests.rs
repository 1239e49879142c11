//! What was written is read back; what was damaged is refused with both values.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use proptest::prelude::*;

use super::*;

/// Three cells, one of them empty, of four rows of two numbers.
fn cells() -> Cells {
    Cells {
        centers: vec![1.0, 2.0, 3.0, 4.0, 0.0, -0.5],
        spreads: vec![0.5, f32::INFINITY, 0.0],
        rows: vec![0, 3, 1, 2],
        starts: vec![0, 2, 4, 4],
        dim: 2,
    }
}

/// The bytes of a cells file.
fn written(cells: &Cells) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cells");
    cells.write(&path).unwrap();
    fs::read(path).unwrap()
}

/// Reads the cells of four rows of two numbers.
fn read(bytes: &[u8]) -> Result<Cells, Error> {
    read_of(bytes, RowsView::new(&[5, 6, 7, 8], &[1.0; 8], 2))
}

fn read_of(bytes: &[u8], rows: RowsView<'_>) -> Result<Cells, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cells");
    fs::write(&path, bytes).unwrap();
    Cells::read(&File::open(path).unwrap(), rows)
}

/// The error of reading after four bytes from `at` were changed.
fn refused_with(at: usize, bytes: [u8; 4]) -> String {
    let mut damaged = written(&cells());
    damaged[at..at + 4].copy_from_slice(&bytes);
    read(&damaged).unwrap_err().to_string()
}

#[test]
fn the_cells_file_is_as_documented() {
    let mut expected = b"TTCELL01".to_vec();
    expected.extend([2_u32, 3, 4, 0].map(u32::to_le_bytes).concat());
    expected.extend([0; 40]);
    for number in [1.0, 2.0, 3.0, 4.0, 0.0, -0.5, 0.5, f32::INFINITY, 0.0_f32] {
        expected.extend(number.to_le_bytes());
    }
    for number in [2_u32, 4, 4, 0, 3, 1, 2] {
        expected.extend(number.to_le_bytes());
    }
    assert_eq!(written(&cells()), expected);
    let found = read(&expected).unwrap();
    assert_eq!(found.count(), 3);
    assert_eq!(
        [0, 1, 2].map(|cell| found.rows(cell)),
        [&[0_u32, 3][..], &[1, 2], &[]]
    );
}

#[test]
fn a_file_that_was_cut_off_or_is_another_is_refused() {
    let whole = written(&cells());
    let refused = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert_eq!(
        refused(&whole[..60]),
        "cells: size in bytes is 60, expected at least 64"
    );
    assert_eq!(
        refused(&whole[..whole.len() - 1]),
        "cells: size in bytes is 127, expected 128"
    );
    assert_eq!(
        refused(&[&whole[..], &[0]].concat()),
        "cells: size in bytes is 129, expected 128"
    );
    assert!(refused(&[0; 200]).starts_with("cells: first bytes is"));
}

#[test]
fn counts_of_other_rows_are_refused_with_both_values() {
    let refused = |at, number: u32| refused_with(at, number.to_le_bytes());
    assert_eq!(refused(8, 3), "cells: dimension is 3, expected 2");
    assert_eq!(refused(16, 5), "cells: number of rows is 5, expected 4");
    assert_eq!(
        refused(20, 1),
        "cells: number of rows is 4294967300, expected 4"
    );
    for count in [0, 5, u32::MAX] {
        assert_eq!(
            refused(12, count),
            format!("cells: number of cells is {count}, expected 1 to 4")
        );
    }
    assert_eq!(refused(12, 2), "cells: size in bytes is 128, expected 112");
    let none = RowsView::new(&[], &[], 2);
    let cause = read_of(&written(&cells()), none).unwrap_err().to_string();
    assert_eq!(cause, "cells: number of rows is 4, expected 0");
}

#[test]
fn numbers_that_say_nothing_are_refused() {
    let refused = |at, number: f32| refused_with(at, number.to_le_bytes());
    for (number, words) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        assert_eq!(
            refused(68, number),
            format!("cells: number of a centre is {words}, expected a finite one")
        );
    }
    for (number, words) in [(f32::NAN, "NaN"), (-0.5, "-0.5")] {
        assert_eq!(
            refused(88, number),
            format!("cells: spread of a cell is {words}, expected at least 0")
        );
    }
}

#[test]
fn cells_that_do_not_hold_each_row_once_are_refused() {
    let refused = |at, number: u32| refused_with(at, number.to_le_bytes());
    assert_eq!(
        refused(100, 5),
        "cells: end of a cell is 4, expected at least 5"
    );
    assert_eq!(
        refused(108, 5),
        "cells: end of the last cell is 5, expected 4"
    );
    assert_eq!(
        refused(116, 4),
        "cells: row of a cell is 4, expected below 4"
    );
    assert_eq!(
        refused(116, 0),
        "cells: row of a cell is 0, expected greater than 0"
    );
    assert_eq!(
        refused(120, 0),
        "cells: row of a cell is 0, expected one of no other cell"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn cells_come_back_as_they_were_and_any_number_of_threads_writes_the_same(
        count in 1_usize..300,
        dim in 1_usize..9,
        wanted in 1_usize..9,
        numbers in prop::collection::vec(-1.0_f32..1.0, 997),
    ) {
        let ids: Vec<u64> = (0..count as u64).collect();
        let vectors: Vec<f32> = (0..count * dim).map(|i| numbers[i % 997]).collect();
        let rows = RowsView::new(&ids, &vectors, dim);
        // Cells of several groups are divided, so that there may be four times as many; never more than rows.
        let wanted = wanted.min(count / 4).max(1);
        let bytes = written(&Cells::divide(rows, wanted, 1));
        prop_assert!(written(&Cells::divide(rows, wanted, 3)) == bytes);
        prop_assert!(written(&read_of(&bytes, rows).unwrap()) == bytes);
    }
}
