//! What a recall answers: candidates, and what they cover.

use std::{collections::BTreeSet, time::Duration};

use crate::{error::Error, hit::Hit, items::Item, token, topology::Variant};

/// One recall's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Best first.
    pub(crate) candidates: Vec<Candidate>,
    /// The generation that answered, end to end.
    pub(crate) generation: String,
    /// Why it did.
    pub(crate) variant: Variant,
    /// Its embedding space.
    pub(crate) space: String,
    /// What was searched.
    pub(crate) coverage: Coverage,
    /// Why the answer may be worse than it could be.
    pub(crate) degraded: BTreeSet<Degraded>,
    /// Whether nothing was known of the user.
    pub(crate) cold_start: bool,
    /// Where the time went.
    pub(crate) timings: Timings,
    /// Goes on after the last candidate; empty if nothing does.
    pub(crate) next_page_token: String,
    /// Makes the answer again; empty if nothing does.
    pub(crate) recall_token: String,
}

impl Answer {
    /// A hash of the candidates and their scores; never 0.
    pub(crate) fn digest(&self) -> u64 {
        let hits = self.candidates.iter().map(|candidate| candidate.hit);
        digest(hits)
    }
}

/// A hash of hits and their scores; never 0.
pub(crate) fn digest(hits: impl Iterator<Item = Hit>) -> u64 {
    let bytes = hits.flat_map(|hit| {
        let score = hit.score.to_bits().to_le_bytes();
        hit.id.to_le_bytes().into_iter().chain(score)
    });
    token::digest(&bytes.collect::<Vec<_>>()).max(1)
}

/// One item of an answer.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// The item and its score.
    pub(crate) hit: Hit,
    /// Title and features, if asked for and found.
    pub(crate) item: Option<Item>,
}

impl Candidate {
    /// A hit without title and features.
    pub(crate) fn bare(hit: Hit) -> Self {
        Self { hit, item: None }
    }

    /// Whether title and features are missing.
    pub(crate) fn is_bare(&self) -> bool {
        self.item.is_none()
    }
}

/// What was found before titles are added.
#[derive(Debug)]
pub(crate) struct Found {
    /// Best first.
    pub(crate) hits: Vec<Hit>,
    /// What was searched.
    pub(crate) coverage: Coverage,
    /// Why it may be worse than it could be.
    pub(crate) degraded: BTreeSet<Degraded>,
    /// Whether nothing was known of the user.
    pub(crate) cold_start: bool,
    /// The delta that every shard was searched as of, if all were as of one.
    pub(crate) delta: Option<u64>,
}

/// What was searched, over all shards of the generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// Eligible items that were searched.
    pub(crate) items_searched: u64,
    /// Items that could have been returned: all less the excluded.
    pub(crate) items_eligible: u64,
    /// Items of the generation, and of the deltas since.
    pub(crate) items_total: u64,
    /// Items that came with deltas since.
    pub(crate) items_fresh: u64,
    /// The last delta that every answering shard had taken up.
    pub(crate) delta: u64,
    /// Shards that answered.
    pub(crate) shards_answered: u32,
    /// Shards of the generation.
    pub(crate) shards_total: u32,
    /// Whether every answering shard scanned every row, and one answered.
    pub(crate) exact: bool,
}

impl Coverage {
    /// Searched over eligible, 0 to 1; 1 when nothing is eligible and nothing is missing.
    pub(crate) fn fraction(&self) -> f64 {
        if self.items_eligible > 0 {
            self.items_searched as f64 / self.items_eligible as f64
        } else if self.shards_answered == self.shards_total {
            1.0
        } else {
            0.0
        }
    }

    /// Refuses less than a caller needs.
    ///
    /// # Errors
    /// [`Error::CoverageTooLow`].
    pub(crate) fn check(&self, required: f64) -> Result<(), Error> {
        let found = self.fraction();
        if found >= required {
            return Ok(());
        }
        Err(Error::CoverageTooLow {
            found,
            required,
            answered: self.shards_answered,
            total: self.shards_total,
        })
    }
}

/// Why an answer may be worse than it could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Degraded {
    /// A shard could not be reached.
    ShardUnreachable,
    /// A shard did not answer in time.
    Deadline,
    /// The member that keeps the user's history could not be reached.
    UserTowerDown,
    /// Popular items stand in for a personal answer.
    FallbackPopular,
    /// Titles or features are missing on some candidates.
    ItemsMissing,
    /// Events may be missing from the user's history.
    StaleHistory,
}

/// Where the time of a recall went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timings {
    /// Embedding the user, with the network in between.
    pub(crate) embed: Duration,
    /// Searching the shards, or reading the popular items.
    pub(crate) search: Duration,
    /// The whole recall.
    pub(crate) total: Duration,
}
