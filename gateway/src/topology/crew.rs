//! The members of one kind, as many as there are at the moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;
use tracing::warn;

use super::{
    follower::{Follower, Orders, Report},
    look::Kind,
};
use crate::replica::{Connect, Replica};

/// The members of one kind, by address.
pub(super) struct Crew<H: 'static> {
    kind: &'static Kind<H>,
    connect: Connect,
    connect_timeout: Duration,
    followers: BTreeMap<String, Follower<H>>,
}

/// One member and what it said last.
#[derive(Clone, Debug)]
pub(super) struct Member<H> {
    pub(super) replica: Arc<Replica>,
    pub(super) report: Report<H>,
}

impl<H: Clone + Default + PartialEq + Send + Sync + 'static> Crew<H> {
    /// Nobody yet.
    pub(super) fn new(kind: &'static Kind<H>, connect: Connect, connect_timeout: Duration) -> Self {
        Self {
            kind,
            connect,
            connect_timeout,
            followers: BTreeMap::new(),
        }
    }

    /// Follows those at `addresses`, and nobody else.
    pub(super) fn be(&mut self, addresses: &BTreeSet<String>, orders: &Orders) {
        self.followers
            .retain(|address, _| addresses.contains(address));
        for address in addresses {
            if self.followers.contains_key(address) {
                continue;
            }
            match Replica::new(address, self.connect_timeout, &self.connect) {
                Ok(replica) => {
                    let follower = Follower::start(Arc::new(replica), self.kind, orders);
                    self.followers.insert(address.clone(), follower);
                }
                Err(cause) => warn!(address, %cause, "a member's address cannot be used"),
            }
        }
    }

    /// What each said last.
    pub(super) fn members(&self) -> Vec<Member<H>> {
        let followers = self.followers.values();
        let member = |follower: &Follower<H>| Member {
            replica: follower.replica.clone(),
            report: follower.report.borrow().clone(),
        };
        followers.map(member).collect()
    }
}

impl<H> Member<H> {
    /// Whether it says that it serves, and answers.
    pub(super) fn is_healthy(&self) -> bool {
        self.replica.is_serving() && self.report.answers
    }

    /// When it was asked what it says; [`None`] if it was not asked yet. A member that does not answer is not waited for.
    pub(super) fn asked(&self, now: Instant) -> Option<Instant> {
        match self.report.asked {
            Some(_) if !self.report.answers => Some(now),
            asked => asked,
        }
    }
}
