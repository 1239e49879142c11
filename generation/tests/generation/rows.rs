//! The rows file: what is written is what is mapped, and nothing else is.

use std::fs::{self, File};

use generation::{
    error::Error,
    rows::{Numbers, Rows},
};
use half::f16;
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

/// What stands before the vectors of two rows, 7 and 9, of two numbers.
fn before_the_vectors(magic: &[u8; 8]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend(2_u32.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(2_u64.to_le_bytes());
    bytes.extend([0; 40]);
    bytes.extend(7_u64.to_le_bytes());
    bytes.extend(9_u64.to_le_bytes());
    bytes.extend([0; 48]);
    bytes
}

#[test]
fn the_bytes_are_as_documented() {
    let (_dir, path) = path();
    Rows::write(&path, 2, &[7, 9], &[0.5, -1.0, 2.0, 0.0]).unwrap();
    let mut expected = before_the_vectors(b"TTROWS01");
    for value in [0.5_f32, -1.0, 2.0, 0.0] {
        expected.extend(value.to_le_bytes());
    }
    assert_eq!(fs::read(&path).unwrap(), expected);
}

#[test]
fn rounded_rows_take_half_the_bytes_and_are_read_as_f32() {
    let (_dir, path) = path();
    // The greatest, the smallest that has all its digits, one that has a single one left, and the one next to 1.
    let numbers = [65_504.0, -6.103_515_6e-5, 5.960_464_5e-8, 1.000_976_6];
    let halves = numbers.map(f16::from_f32);
    Rows::write_stored(&path, 2, &[7, 9], Numbers::F16(&halves)).unwrap();
    let mut expected = before_the_vectors(b"TTROWS02");
    for bits in [0x7bff_u16, 0x8400, 0x0001, 0x3c01] {
        expected.extend(bits.to_le_bytes());
    }
    assert_eq!(fs::read(&path).unwrap(), expected);
    let rows = Rows::map(&File::open(&path).unwrap()).unwrap();
    assert_eq!(rows.numbers(), Numbers::F16(&halves));
    assert_eq!(*rows.row(0), numbers[..2]);
    assert_eq!(*rows.row(1), numbers[2..]);
    assert!(map_bytes(&expected[..135]).is_err());
}

#[test]
fn no_rows_are_rows_too() {
    let (_dir, path) = path();
    Rows::write(&path, 64, &[], &[]).unwrap();
    let rows = Rows::map(&File::open(&path).unwrap()).unwrap();
    assert!(rows.is_empty());
    assert_eq!((rows.dim(), rows.ids().len()), (64, 0));
    assert_eq!(rows.numbers(), Numbers::F32(&[]));
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
    let unknown = "first bytes is TTROWS03, expected TTROWS01 or TTROWS02";
    assert!(changed(0, b"TTROWS03").contains(unknown));
    assert!(changed(0, b"TTROWS02").contains("size in bytes is 144, expected 136"));
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
        prop_assert_eq!(rows.numbers(), Numbers::F32(&vectors));
        prop_assert_eq!(rows.len(), ids.len());
        for (i, vector) in vectors.chunks_exact(dim).enumerate() {
            prop_assert_eq!(rows.row(i), vector);
        }
    }
}
