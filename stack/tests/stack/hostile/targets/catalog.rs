//! A catalog, as the index builder takes it in.

use super::calls::site::Site;

/// Re-indexes lines of JSON or of CSV, as the first byte says. Parquet is left out: its reader panics on damage, which is guarded where it
/// is used, but ends a fuzzer.
pub(super) fn catalog(site: &Site, bytes: &[u8]) {
    if let Some((first, rows)) = bytes.split_first() {
        site.index(["jsonl", "csv"][usize::from(first % 2)], rows);
    }
}
