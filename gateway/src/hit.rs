//! One found item, and the order in which items stand in an answer.

use std::cmp::Ordering;

/// How an item was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// By the graph of its shard.
    Ann,
    /// By a scan of its shard.
    Exact,
    /// From the list of popular items.
    Popular,
    /// Among the items that came since the generation was made.
    Fresh,
}

/// An item that a shard found, with its score.
///
/// Hits order best first: the greater score by `total_cmp`, then the smaller id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    /// The item.
    pub(crate) id: u64,
    /// Dot product with the closest interest; 0 for popular items.
    pub(crate) score: f32,
    /// Which interest gave the score.
    pub(crate) interest: u32,
    /// How the item was found.
    pub(crate) source: Source,
}

impl Ord for Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .score
            .total_cmp(&self.score)
            .then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Hit {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Hit {}
