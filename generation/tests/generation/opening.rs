//! A store is made where it is opened.

use std::{fs, process::Command};

use generation::store::Store;

/// A process of its own for the test below: opens a store in its working directory.
#[test]
#[ignore = "the child of another test"]
fn opens_here() {
    Store::open("store").unwrap();
}

#[test]
fn a_path_of_one_component_is_made_in_the_working_directory() {
    let dir = tempfile::tempdir().unwrap();
    let opened = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "opening::opens_here"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(opened.status.success(), "{opened:?}");
    assert!(fs::metadata(dir.path().join("store")).unwrap().is_dir());
}

#[test]
fn a_location_without_a_bucket_is_refused_by_name() {
    for location in ["s3://", "s3:///prefix", "s3://../x"] {
        let cause = Store::open_with(location, []).unwrap_err().to_string();
        assert!(cause.starts_with("bucket \""), "{location}: {cause}");
    }
}

#[test]
fn every_missing_level_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/store");
    let store = Store::open(path.to_str().unwrap()).unwrap();
    assert_eq!(store.root(), path.canonicalize().unwrap());
}
