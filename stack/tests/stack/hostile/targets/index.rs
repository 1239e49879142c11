//! What a shard holds beside its rows and its graph.

use std::{
    fs::{self, File},
    path::Path,
};

use index::items::Items;

/// Maps a file of items, and reads each.
pub(super) fn items(folder: &Path, bytes: &[u8]) {
    let path = folder.join("items");
    fs::write(&path, bytes).unwrap();
    if let Ok(items) = Items::map(&File::open(&path).unwrap()) {
        let held: usize = (0..items.len()).map(|row| items.get(row).len()).sum();
        assert!(held + 8 * items.len() <= bytes.len());
    }
    // Under another name the next time: what is mapped is never written.
    fs::remove_file(path).unwrap();
}
