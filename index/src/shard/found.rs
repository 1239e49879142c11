//! What a shard answers.

use std::borrow::Cow;

use crate::{hit::Hit, plan::Plan, tail::Fresh};

/// What a search found, and in how much.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// `min(k, eligible)` hits, best first, none of them excluded, all of them passing the filter.
    pub hits: Vec<Hit>,
    /// Rows that could be returned.
    pub eligible: u64,
    /// Eligible rows that were compared, or are in the graph that was walked.
    pub searched: u64,
    /// How the rows that the shard was built with were searched; fresh rows are all compared.
    pub plan: Plan,
    /// Places of the hits that are fresh, ascending.
    pub fresh: Vec<u32>,
    /// Rows there were, fresh ones among them.
    pub rows: u64,
    /// Fresh rows there were.
    pub fresh_rows: u64,
    /// The last delta that was seen.
    pub as_of: u64,
}

/// What passes a filter now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passing {
    /// Rows that the shard was built with, ascending.
    pub rows: Vec<usize>,
    /// Ids of fresh rows.
    pub fresh: Vec<u64>,
}

/// An item as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredItem<'a> {
    /// The item's id.
    pub id: u64,
    /// The item's bytes.
    pub bytes: Cow<'a, [u8]>,
}

/// The best `k` of both, and the places of the fresh ones among them.
pub(super) fn merge(mut hits: Vec<Hit>, fresh: &Fresh, k: usize) -> (Vec<Hit>, Vec<u32>) {
    if fresh.hits.is_empty() {
        return (hits, Vec::new());
    }
    hits.extend(&fresh.hits);
    hits.sort_unstable();
    hits.truncate(k);
    let is_fresh = |hit: &Hit| fresh.hits.binary_search(hit).is_ok();
    let places = hits.iter().zip(0..).filter(|(hit, _)| is_fresh(hit));
    let places = places.map(|(_, place)| place).collect();
    (hits, places)
}
