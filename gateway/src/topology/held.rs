//! One generation as the item towers hold it.

use std::sync::Arc;

use generation::manifest::Manifest;

use super::{crew::Member, look::Shards};
use crate::{
    calls::Calls,
    replica::{Replica, pick},
};

/// A generation, and who holds which of its shards.
#[derive(Debug)]
pub(crate) struct Held {
    /// What the generation is.
    pub(crate) manifest: Arc<Manifest>,
    /// What is known of calls in general.
    pub(crate) calls: Arc<Calls>,
    /// By shard: its holders.
    holders: Vec<Vec<Arc<Replica>>>,
    /// By shard: whether a healthy member holds it.
    covered: Vec<bool>,
}

impl Held {
    /// Notes who of the members holds which shard; a member whose copy is of another space holds nothing.
    pub(super) fn new(
        manifest: Arc<Manifest>,
        calls: Arc<Calls>,
        members: &[Member<Shards>],
    ) -> Self {
        let mut held = Self {
            holders: Vec::with_capacity(manifest.shards.len()),
            covered: Vec::with_capacity(manifest.shards.len()),
            manifest,
            calls,
        };
        for shard in 0..held.manifest.shards.len() as u32 {
            let (id, space) = (&held.manifest.id, &held.manifest.space);
            let has = |member: &&Member<Shards>| member.report.held.has(id, space, shard);
            let mut covered = false;
            let holders = members.iter().filter(has);
            let holders = holders.inspect(|member| covered |= member.is_healthy());
            let holders = holders.map(|member| member.replica.clone()).collect();
            held.holders.push(holders);
            held.covered.push(covered);
        }
        held
    }

    /// Whether the same members hold the same shards.
    pub(super) fn is_held_as(&self, other: &Self) -> bool {
        let same = |(here, there): (&Vec<Arc<Replica>>, &Vec<Arc<Replica>>)| {
            let mut pairs = here.iter().zip(there);
            here.len() == there.len() && pairs.all(|(here, there)| Arc::ptr_eq(here, there))
        };
        self.holders.iter().zip(&other.holders).all(same)
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

    /// Whether a healthy member holds each shard.
    pub(super) fn is_covered(&self) -> bool {
        self.covered.iter().all(|covered| *covered)
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
        choose(self.holders.get(shard as usize)?, not)
    }

    /// Whether another member than `first` holds the shard and does well.
    pub(crate) fn spare(&self, shard: u32, first: &Replica) -> bool {
        let holders = self.holders.get(shard as usize);
        let mut others = holders.into_iter().flatten();
        others.any(|other| !std::ptr::eq(&**other, first) && other.rank() == Some(0))
    }

    /// Chooses a member that holds any shard, other than `not`.
    pub(crate) fn anyone(&self, not: Option<&Replica>) -> Option<&Arc<Replica>> {
        choose(self.holders.iter().flatten(), not)
    }
}

fn choose<'a>(
    holders: impl IntoIterator<Item = &'a Arc<Replica>>,
    not: Option<&Replica>,
) -> Option<&'a Arc<Replica>> {
    let ranked = holders
        .into_iter()
        .filter(|holder| not.is_none_or(|not| !std::ptr::eq(&***holder, not)))
        .filter_map(|holder| Some((holder.rank()?, holder)));
    let ranked: Vec<_> = ranked.collect();
    let best = ranked.iter().map(|(rank, _)| *rank).min()?;
    let best = ranked.into_iter().filter(|(rank, _)| *rank == best);
    pick(&best.map(|(_, replica)| replica).collect::<Vec<_>>())
}
