//! Files that do not belong together, or are not what they should be, are refused.

use std::fs::{self, File};

use index::{items::Items, shard::Options};

use crate::fixture::{Owned, build_files};

/// The error of opening a shard after one of its files was changed.
fn refused(file: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let rows = Owned::random(40, 1);
    let files = build_files(&rows).unwrap();
    let bytes = change(fs::read(files.path(file)).unwrap());
    fs::write(files.path(file), bytes).unwrap();
    files
        .open(&rows, &Options::default())
        .unwrap_err()
        .to_string()
}

#[test]
fn a_graph_of_other_rows_is_refused_with_both_counts() {
    let (rows, more) = (Owned::random(40, 1), Owned::random(41, 1));
    let other = build_files(&more).unwrap();
    let files = build_files(&rows).unwrap();
    fs::copy(other.path("graph"), files.path("graph")).unwrap();
    let cause = files.open(&rows, &Options::default()).unwrap_err();
    assert_eq!(
        cause.to_string(),
        "graph: number of rows is 41, expected 40"
    );
    fs::copy(other.path("items"), files.path("items")).unwrap();
    let cause = files.open(&rows, &Options::default()).unwrap_err();
    assert_eq!(
        cause.to_string(),
        "items: number of items is 41, expected 40"
    );
}

#[test]
fn a_truncated_or_foreign_graph_is_refused() {
    for cause in [
        refused("graph", |bytes| bytes[..bytes.len() / 2].to_vec()),
        refused("graph", |_| Vec::new()),
        refused("graph", |_| b"not a graph".to_vec()),
    ] {
        assert!(cause.starts_with("usearch cannot view: "), "{cause}");
    }
}

#[test]
fn items_that_lie_about_their_lengths_are_refused() {
    let put = |at: usize, value: u64| {
        move |mut bytes: Vec<u8>| {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            bytes
        }
    };
    let at_least = "items: end of an item is 0, expected at least";
    assert!(refused("items", put(64 + 8 * 9, 0)).starts_with(at_least));
    assert!(refused("items", put(64, 1)).starts_with("items: start of the first item is 1"));
    assert!(
        refused("items", put(64 + 8 * 40, 1 << 40)).starts_with("items: bytes of all items is")
    );
    for count in [1 << 60, u64::MAX, u64::MAX / 8] {
        assert!(refused("items", put(8, count)).starts_with("items: number of items is"));
    }
    assert!(refused("items", |bytes| bytes[..60].to_vec()).contains("size in bytes is 60"));
    assert!(
        refused("items", |bytes| bytes[..bytes.len() - 1].to_vec()).contains("bytes of all items")
    );
    assert!(refused("items", |_| vec![0; 200]).contains("first bytes"));
}

#[test]
fn the_items_file_is_as_documented() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("items");
    Items::write(&path, &["ab", "", "c"]).unwrap();
    let mut expected = b"TTITEM01".to_vec();
    expected.extend(3_u64.to_le_bytes());
    expected.extend([0; 48]);
    for offset in [0_u64, 2, 2, 3] {
        expected.extend(offset.to_le_bytes());
    }
    expected.extend(b"abc");
    assert_eq!(fs::read(&path).unwrap(), expected);
    let items = Items::map(&File::open(&path).unwrap()).unwrap();
    assert_eq!([0, 1, 2].map(|i| items.get(i)), [&b"ab"[..], b"", b"c"]);
}
