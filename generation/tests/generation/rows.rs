//! The rows file: what is written is what is mapped, and nothing else is.

use std::fs::{self, File};

use generation::{error::Error, rows::Rows};
use proptest::prelude::*;

fn path() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shard-0000.rows");
    (dir, path)
}

fn map_bytes(bytes: &[u8]) -> Result<Rows, Error> {
    let (_dir, path) = path();
    fs::write(&path, bytes).unwrap();
    Rows::map(&File::open(&path).unwrap())
}

#[test]
fn the_bytes_are_as_documented() {
    let (_dir, path) = path();
    Rows::write(&path, 2, &[7, 9], &[0.5, -1.0, 2.0, 0.0]).unwrap();
    let mut expected = Vec::new();
    expected.extend(b"TTROWS01");
    expected.extend(2_u32.to_le_bytes());
    expected.extend([0; 4]);
    expected.extend(2_u64.to_le_bytes());
    expected.extend([0; 40]);
    expected.extend(7_u64.to_le_bytes());
    expected.extend(9_u64.to_le_bytes());
    expected.extend([0; 48]);
    for value in [0.5_f32, -1.0, 2.0, 0.0] {
        expected.extend(value.to_le_bytes());
    }
    assert_eq!(fs::read(&path).unwrap(), expected);
}

#[test]
fn no_rows_are_rows_too() {
    let (_dir, path) = path();
    Rows::write(&path, 64, &[], &[]).unwrap();
    let rows = Rows::map(&File::open(&path).unwrap()).unwrap();
    assert!(rows.is_empty());
    assert_eq!(
        (rows.dim(), rows.ids().len(), rows.vectors().len()),
        (64, 0, 0)
    );
}

#[test]
fn ids_that_do_not_ascend_are_refused_by_row() {
    let (_dir, path) = path();
    for (ids, words) in [
        (
            [1, 5, 5],
            "row 2 has item id 5, which is not greater than 5",
        ),
        (
            [2, 1, 3],
            "row 1 has item id 1, which is not greater than 2",
        ),
    ] {
        let cause = Rows::write(&path, 1, &ids, &[1.0; 3])
            .unwrap_err()
            .to_string();
        assert!(cause.starts_with(words), "{cause}");
    }
    assert!(Rows::write(&path, 2, &[1], &[1.0]).is_err());
    assert!(Rows::write(&path, 0, &[], &[]).is_err());
    assert!(!path.exists());
}

#[test]
fn headers_that_lie_are_refused() {
    let (_dir, path) = path();
    Rows::write(&path, 2, &[7, 9], &[0.5, -1.0, 2.0, 0.0]).unwrap();
    let good = fs::read(&path).unwrap();
    let changed = |at: usize, with: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        map_bytes(&bytes).unwrap_err().to_string()
    };
    assert!(changed(0, b"TTROWS02").contains("first bytes is TTROWS02, expected TTROWS01"));
    assert!(changed(8, &0_u32.to_le_bytes()).contains("dimension is 0"));
    assert!(changed(8, &3_u32.to_le_bytes()).contains("size in bytes is 144, expected 152"));
    for count in [1, 3, u64::MAX, u64::MAX / 8, 1 << 60] {
        assert!(changed(16, &count.to_le_bytes()).contains("size in bytes is 144"));
    }
    assert!(
        map_bytes(&good[..63])
            .unwrap_err()
            .to_string()
            .contains("at least 64")
    );
    assert!(map_bytes(b"").is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_mapped(
        ids in prop::collection::btree_set(any::<u64>(), 0..40),
        dim in 1_usize..20,
        seed: u32,
    ) {
        let ids: Vec<u64> = ids.into_iter().collect();
        let vectors: Vec<f32> = (0..ids.len() * dim).map(|i| (i as f32).mul_add(0.5, seed as f32)).collect();
        let (_dir, path) = path();
        Rows::write(&path, dim, &ids, &vectors).unwrap();
        let rows = Rows::map(&File::open(&path).unwrap()).unwrap();
        prop_assert_eq!(rows.ids(), &ids[..]);
        prop_assert_eq!(rows.vectors(), &vectors[..]);
        prop_assert_eq!(rows.len(), ids.len());
        for (i, vector) in vectors.chunks_exact(dim).enumerate() {
            prop_assert_eq!(rows.row(i), vector);
        }
    }
}
