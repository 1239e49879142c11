//! What a caller asks for, once it is checked.

use crate::{diversity::Diversity, filter::Filter, token::Then, user_tower::Who};

/// One recall to do.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// The user.
    pub(crate) who: Who,
    /// How many items.
    pub(crate) k: usize,
    /// Items to leave out; unknown ones do no harm.
    pub(crate) exclude: Vec<u64>,
    /// Whether items that the user has seen may be returned.
    pub(crate) allow_seen: bool,
    /// What the items must be; all, if it is none.
    pub(crate) filter: Option<Filter>,
    /// Compare every item that may be returned instead of walking the graph.
    pub(crate) exact: bool,
    /// Embed the user in a batch of its own.
    pub(crate) reproducible: bool,
    /// Return titles and features.
    pub(crate) with_item: bool,
    /// The least coverage that is an answer, 0 to 1.
    pub(crate) min_coverage: f64,
    /// The generation to answer from; empty means the pinned one, or the candidate's share of it.
    pub(crate) generation: String,
    /// Whom a traffic policy treats alike.
    pub(crate) experiment_unit: String,
    /// How the items are to differ; not at all, if it is none.
    pub(crate) diversity: Option<Diversity>,
    /// Places for popular items.
    pub(crate) popular: usize,
    /// Places for items that came since the generation was made.
    pub(crate) fresh: usize,
    /// Return tokens that go on from the answer and make it again; they stand for a request of this digest, without and with its page.
    pub(crate) tokens: Option<Digests>,
    /// The moment to see; the present, if it is none.
    pub(crate) then: Option<Then>,
}

/// What requests have tokens in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digests {
    /// Those that differ in nothing but the page.
    pub(crate) listing: u64,
    /// Those that are the same.
    pub(crate) request: u64,
}
