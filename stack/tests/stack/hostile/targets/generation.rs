//! What the store holds beside artifacts: CURRENT and MEMBERS, manifests, rows, deltas.

use std::{
    fs::{self, File},
    path::Path,
};

use generation::{
    deltas,
    manifest::Manifest,
    partition::PARTITIONER,
    rows::{Numbers, Rows},
    store::Store as Directory,
};
use tokio::runtime;

/// The time that manifests say they are of.
const TIME: &str = "20261124T101112Z";
/// Where the seeds leave their id out.
const NO_ID: &[u8] = b"\"id\": \"\"";

/// Reads a manifest as it is, and sealed as publishing seals it: with an id that is the hash of all the rest.
pub(super) fn manifest(_: &Path, bytes: &[u8]) {
    let hash = blake3::hash(bytes).to_hex();
    let id = format!("{TIME}-{}", &hash[..8]);
    believe(bytes, &id);
    let found = bytes.windows(NO_ID.len()).position(|part| part == NO_ID);
    if let Some(at) = found {
        let (before, after) = bytes.split_at(at + NO_ID.len() - 1);
        believe(&[before, id.as_bytes(), after].concat(), &id);
    }
}

/// Reads a manifest; one that is believed agrees with itself.
fn believe(text: &[u8], id: &str) {
    let Ok(manifest) = Manifest::parse(text, id) else {
        return;
    };
    assert_eq!(manifest.id, id);
    assert_eq!(manifest.partitioner.name, PARTITIONER);
    assert_eq!(manifest.shards.len(), manifest.partitioner.shards as usize);
    let items = manifest.shards.iter().map(|shard| u128::from(shard.items));
    let items = items.sum::<u128>().min(u128::from(u64::MAX));
    assert_eq!(items, u128::from(manifest.items));
    for file in manifest.shards.iter().flat_map(|shard| shard.files()) {
        assert!(manifest.files.contains_key(file), "{file}");
    }
    manifest.files.keys().for_each(|file| stays(file));
    stays(&manifest.space);
}

/// Reads both pointers.
pub(super) fn pointer(folder: &Path, bytes: &[u8]) {
    fs::write(folder.join("CURRENT"), bytes).unwrap();
    fs::write(folder.join("MEMBERS"), bytes).unwrap();
    let (current, members) =
        wait(async { (store(folder).current().await, store(folder).members().await) });
    if let Ok(Some(current)) = current {
        current.value.generations().for_each(stays);
        let candidate = current.value.candidate.as_ref();
        let shares = candidate.map(|candidate| [candidate.share, candidate.shadow]);
        for share in shares.into_iter().flatten() {
            assert!((0.0..=1.0).contains(&share), "{share}");
        }
    }
    if let Ok(Some(members)) = members {
        assert!(!members.value.members.is_empty());
        members.value.members.iter().for_each(|name| stays(name));
    }
}

/// Reads a delta and vectors, sealed with their hash as they are on disk.
pub(super) fn delta(folder: &Path, bytes: &[u8]) {
    let sealed = [bytes, blake3::hash(bytes).as_bytes()].concat();
    fs::create_dir_all(folder.join("deltas")).unwrap();
    for suffix in ["", ".space"] {
        let name = format!("deltas/{:020}{suffix}", 1);
        fs::write(folder.join(name), &sealed).unwrap();
    }
    let store = store(folder);
    let (changes, vectors) = wait(async {
        let changes = deltas::read(&store, 1).await;
        (changes, deltas::read_vectors(&store, 1, "space").await)
    });
    if let Ok(Some(changes)) = changes {
        let held: usize = changes.items.values().flatten().map(Vec::len).sum();
        assert!(held + 8 * changes.items.len() <= bytes.len());
    }
    if let Ok(Some(vectors)) = vectors {
        assert!(vectors.rows.values().all(|row| row.len() == vectors.dim));
        assert!(vectors.rows.len() * (8 + 4 * vectors.dim) <= bytes.len());
    }
}

/// Maps a file of rows.
pub(super) fn rows(folder: &Path, bytes: &[u8]) {
    let path = folder.join("rows");
    fs::write(&path, bytes).unwrap();
    if let Ok(rows) = Rows::map(&File::open(&path).unwrap()) {
        assert_eq!(rows.ids().len(), rows.len());
        let numbers = match rows.numbers() {
            Numbers::F32(numbers) => numbers.len(),
            Numbers::F16(numbers) => numbers.len(),
        };
        assert_eq!(numbers, rows.len() * rows.dim());
        assert!((0..rows.len()).all(|row| rows.row(row).len() == rows.dim()));
    }
    // Under another name the next time: what is mapped is never written.
    fs::remove_file(path).unwrap();
}

/// What names a file or a folder stays where it is put.
fn stays(name: &str) {
    assert!(!name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']));
}

fn store(folder: &Path) -> Directory {
    Directory::open(folder.to_str().unwrap()).unwrap()
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    let runtime = runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(work)
}
