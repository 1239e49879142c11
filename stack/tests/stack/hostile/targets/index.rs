//! What a shard holds beside its rows and its graph.

use std::{
    fs::{self, File},
    path::Path,
};

use index::{cells::Cells, items::Items, rows::RowsView};

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

/// Reads the cells of nine rows of two numbers; each row is in one.
pub(super) fn cells(folder: &Path, bytes: &[u8]) {
    let ids: Vec<u64> = (0..9).collect();
    let rows = RowsView::new(&ids, &[1.0; 18], 2);
    let path = folder.join("cells");
    fs::write(&path, bytes).unwrap();
    if let Ok(cells) = Cells::read(&File::open(&path).unwrap(), rows) {
        let held = (0..cells.count()).flat_map(|cell| cells.rows(cell).iter().copied());
        let mut held: Vec<u32> = held.collect();
        held.sort_unstable();
        assert!(held.into_iter().eq(0..9));
    }
}
