//! Lists the most popular items of a generation.

use std::{cmp::Reverse, fs, path::Path};

use encoder::features::CatalogItem;

use crate::error::Error;

/// The list's name in every generation.
pub(crate) const FILE: &str = "popularity.json";
/// How many items are listed; nobody asks for more.
const LISTED: usize = 10_000;

/// Writes the list into `dir`: `[[item id, count], ..]`.
///
/// # Errors
/// [`Error::Write`] if the file cannot be written.
pub(crate) fn write(dir: &Path, items: &[CatalogItem]) -> Result<(), Error> {
    let path = dir.join(FILE);
    let text = serde_json::json!(most_popular(items)).to_string();
    fs::write(&path, text).map_err(|source| Error::Write { path, source })
}

/// Items and counts, most popular first; ties go to the smaller id.
fn most_popular(items: &[CatalogItem]) -> Vec<(u64, u64)> {
    let mut counts: Vec<(u64, u64)> = items
        .iter()
        .map(|item| (item.id, item.popularity))
        .collect();
    counts.sort_unstable_by_key(|&(id, count)| (Reverse(count), id));
    counts.truncate(LISTED);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_smaller_id() {
        let item = |(id, popularity)| CatalogItem {
            id,
            popularity,
            ..CatalogItem::default()
        };
        let items = [(3, 5), (9, 7), (1, 5)].map(item);
        assert_eq!(most_popular(&items), [(9, 7), (1, 5), (3, 5)]);
    }
}
