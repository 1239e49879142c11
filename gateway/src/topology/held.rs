//! One generation as the item towers hold it.

use std::sync::Arc;

use generation::manifest::Manifest;

use super::poll::ItemMember;
use crate::replica::{Replica, pick};

/// A generation, and who holds which of its shards.
#[derive(Debug)]
pub(crate) struct Held {
    /// What the generation is.
    pub(crate) manifest: Arc<Manifest>,
    /// By shard: its holders.
    holders: Vec<Vec<Holder>>,
}

#[derive(Debug)]
struct Holder {
    replica: Arc<Replica>,
    healthy: bool,
}

impl Held {
    /// Notes who of the members holds which shard; a member whose copy is of another space holds nothing.
    pub(super) fn new(manifest: Arc<Manifest>, members: &[ItemMember]) -> Self {
        let holders = (0..manifest.shards.len() as u32)
            .map(|shard| {
                members
                    .iter()
                    .filter(|member| member.holds(&manifest.id, &manifest.space, shard))
                    .map(|member| Holder {
                        replica: member.replica.clone(),
                        healthy: member.healthy,
                    })
                    .collect()
            })
            .collect();
        Self { manifest, holders }
    }

    /// The number of shards.
    pub(crate) fn shards(&self) -> u32 {
        self.manifest.shards.len() as u32
    }

    /// Items of one shard.
    pub(crate) fn shard_items(&self, shard: u32) -> u64 {
        self.manifest
            .shards
            .get(shard as usize)
            .map_or(0, |entry| entry.items)
    }

    /// Whether a healthy member holds the shard.
    pub(super) fn is_covered(&self, shard: u32) -> bool {
        self.holders[shard as usize]
            .iter()
            .any(|holder| holder.healthy)
    }

    /// Whether any member holds any shard.
    pub(super) fn is_present(&self) -> bool {
        self.holders.iter().any(|holders| !holders.is_empty())
    }

    /// Chooses a holder of the shard other than `not`.
    ///
    /// A healthy one if there is one, even one whose calls fail if it is the last; never one that is neither healthy
    /// nor answers calls.
    pub(crate) fn holder(&self, shard: u32, not: Option<&Replica>) -> Option<&Arc<Replica>> {
        self.choose(self.holders.get(shard as usize)?, not)
    }

    /// Chooses a member that holds any shard, other than `not`.
    pub(crate) fn anyone(&self, not: Option<&Replica>) -> Option<&Arc<Replica>> {
        self.choose(self.holders.iter().flatten(), not)
    }

    fn choose<'a>(
        &self,
        holders: impl IntoIterator<Item = &'a Holder>,
        not: Option<&Replica>,
    ) -> Option<&'a Arc<Replica>> {
        let ranked = holders
            .into_iter()
            .filter(|holder| not.is_none_or(|not| !std::ptr::eq(&*holder.replica, not)))
            .filter_map(|holder| Some((holder.rank()?, &holder.replica)));
        let ranked: Vec<_> = ranked.collect();
        let best = ranked.iter().map(|(rank, _)| *rank).min()?;
        let best = ranked.into_iter().filter(|(rank, _)| *rank == best);
        pick(&best.map(|(_, replica)| replica).collect::<Vec<_>>())
    }
}

impl Holder {
    /// The smaller, the better to ask; none for a member that is gone.
    fn rank(&self) -> Option<u8> {
        match (self.healthy, self.replica.is_failing()) {
            (true, false) => Some(0),
            (true, true) => Some(1),
            (false, false) => Some(2),
            (false, true) => None,
        }
    }
}
