//! Artifacts that are whole, and artifacts that were tampered with.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::sample::Sample;

fn sample() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let space = Sample::default().write(dir.path()).unwrap();
    (dir, space)
}

/// Rewrites a file of the sample, and returns what opening it says.
fn refusal(name: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let (dir, _) = sample();
    let path = dir.path().join(name);
    fs::write(&path, change(fs::read(&path).unwrap())).unwrap();
    Artifact::open(dir.path()).unwrap_err().to_string()
}

fn replaced(from: &'static str, to: &'static str) -> impl FnOnce(Vec<u8>) -> Vec<u8> {
    move |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(from), "{text}");
        text.replacen(from, to, 1).into_bytes()
    }
}

#[test]
fn a_sealed_directory_opens_under_its_name() {
    let (dir, space) = sample();
    let artifact = Artifact::open(dir.path()).unwrap();
    assert_eq!(artifact.space(), space);
    assert_eq!(artifact.signature().dim, 8);
    assert!(artifact.knows_item(20) && !artifact.knows_item(21));
    assert!(artifact.report().is_none());
}

#[test]
fn the_name_is_the_content_and_nothing_else() {
    let (dir, space) = sample();
    assert_eq!(
        Sample::default()
            .write(tempfile::tempdir().unwrap().path())
            .unwrap(),
        space
    );
    assert_eq!(seal(dir.path(), "somebody else").unwrap(), space);
    let other = Sample {
        seed: 2,
        ..Sample::default()
    };
    assert_ne!(
        other.write(tempfile::tempdir().unwrap().path()).unwrap(),
        space
    );
}

#[test]
fn a_report_is_read_but_does_not_change_the_name() {
    let (dir, space) = sample();
    fs::write(dir.path().join(REPORT), "{\"hr@10\": 0.3}").unwrap();
    assert_eq!(seal(dir.path(), "test").unwrap(), space);
    let artifact = Artifact::open(dir.path()).unwrap();
    assert_eq!(artifact.report().unwrap()["hr@10"], 0.3);
    fs::write(dir.path().join(REPORT), "{\"hr@10\": 0.9}").unwrap();
    assert!(
        Artifact::open(dir.path())
            .unwrap_err()
            .to_string()
            .contains("hash")
    );
}

#[test]
fn a_truncated_file_is_refused_with_both_sizes() {
    let refusal = refusal(USER_TOWER, |bytes| bytes[..bytes.len() - 1].to_vec());
    assert!(
        refusal.contains("user_tower.onnx") && refusal.contains("bytes, expected"),
        "{refusal}"
    );
}

#[test]
fn every_flipped_bit_is_refused() {
    let (dir, _) = sample();
    for name in Artifact::open(dir.path()).unwrap().listing().files.keys() {
        let path = dir.path().join(name);
        let good = fs::read(&path).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, bad).unwrap();
            let refusal = Artifact::open(dir.path()).unwrap_err().to_string();
            assert!(
                refusal.contains(name.as_str()) && refusal.contains("hash"),
                "{refusal}"
            );
        }
        fs::write(&path, good).unwrap();
    }
}

#[test]
fn a_missing_file_is_refused_by_name() {
    let (dir, _) = sample();
    fs::remove_file(dir.path().join(ITEM_TOWER)).unwrap();
    assert!(
        Artifact::open(dir.path())
            .unwrap_err()
            .to_string()
            .contains("item_tower.onnx")
    );
    assert!(Artifact::open(tempfile::tempdir().unwrap().path()).is_err());
}

#[test]
fn a_listing_of_another_version_or_name_is_refused() {
    assert!(refusal(LISTING, replaced("\"format\": 1", "\"format\": 2")).contains("format is 2"));
    assert!(
        refusal(LISTING, replaced("\"space\": \"", "\"space\": \"0"))
            .contains("the listing makes space")
    );
    assert!(refusal(LISTING, replaced("\"bytes\"", "\"size\"")).contains("unknown field"));
    assert!(refusal(LISTING, |_| b"garbage".to_vec()).contains("artifact.json"));
    assert!(refusal(LISTING, |_| vec![b' '; 2 << 20]).contains("at most 1048576"));
}

#[test]
fn a_name_that_leaves_the_directory_is_refused() {
    let refusal = refusal(LISTING, replaced("signature.json", "../signature.json"));
    assert!(refusal.contains("names no file inside"), "{refusal}");
}

#[cfg(unix)]
#[test]
fn a_link_that_leaves_the_directory_is_refused() {
    let (dir, _) = sample();
    let outside = tempfile::tempdir().unwrap();
    let (inner, outer) = (dir.path().join(SIGNATURE), outside.path().join("s.json"));
    fs::rename(&inner, &outer).unwrap();
    std::os::unix::fs::symlink(&outer, &inner).unwrap();
    assert!(
        Artifact::open(dir.path())
            .unwrap_err()
            .to_string()
            .contains("names no file inside")
    );
    assert!(seal(dir.path(), "test").is_err());
}

#[test]
fn a_vocabulary_shorter_than_its_reserved_ids_is_refused() {
    let (dir, _) = sample();
    fs::write(dir.path().join("vocabulary/item.id.txt"), "<pad>\n").unwrap();
    seal(dir.path(), "test").unwrap();
    let refusal = Artifact::open(dir.path()).unwrap_err().to_string();
    assert!(
        refusal.contains("reserves id 1, the file ends at 0"),
        "{refusal}"
    );
}

/// How many damages of each file are tried, where the environment says nothing.
const DAMAGES: usize = 200;

/// Changes bytes as a faulty disk does: a bit, a run of zeros, an end that is missing.
fn damage(bytes: &[u8], random: u64) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    let at = (random >> 16) as usize % bytes.len();
    match random % 3 {
        0 => damaged[at] ^= 1 << (random >> 3 & 7),
        1 => damaged[at..bytes.len().min(at + 100)].fill(0),
        _ => damaged.truncate(at),
    }
    damaged
}

#[test]
fn no_damage_goes_unnoticed() {
    let damages: usize =
        std::env::var("TWOTOWER_TEST_DAMAGES").map_or(DAMAGES, |damages| damages.parse().unwrap());
    let files = [
        USER_TOWER,
        ITEM_TOWER,
        SIGNATURE,
        "vocabulary/item.id.txt",
        "golden/test_data_set_0/output_0.pb",
    ];
    let (dir, _) = sample();
    let (mut tried, mut silent, mut state) = (0, 0, 88_172_645_463_325_252_u64);
    for file in files {
        let path = dir.path().join(file);
        let whole = fs::read(&path).unwrap();
        let mut left = damages;
        while left > 0 {
            // Marsaglia's xorshift.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let damaged = damage(&whole, state);
            if damaged == whole {
                continue;
            }
            fs::write(&path, damaged).unwrap();
            tried += 1;
            silent += usize::from(Artifact::open(dir.path()).is_ok());
            left -= 1;
        }
        fs::write(&path, whole).unwrap();
        Artifact::open(dir.path()).unwrap();
    }
    assert_eq!((tried, silent), (files.len() * damages, 0));
    if let Ok(report) = std::env::var("TWOTOWER_TEST_DAMAGES_REPORT") {
        fs::write(report, format!("{tried} {silent}")).unwrap();
    }
}
