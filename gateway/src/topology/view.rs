//! One consistent picture of the house: what is held, by whom, and what answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use generation::{
    placement,
    store::{Candidate, Current, Members},
};
use tokio::time::Instant;

use super::Held;
use crate::{
    error::Error,
    replica::{Replica, pick},
};

/// What the last looks at the members and the store found. A call keeps one view from start to end.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// All of it was looked at after this; none before everybody was asked.
    pub(super) since: Option<Instant>,
    /// What the store names.
    pub(super) current: Option<Current>,
    /// The generation that answers by default.
    pub(super) pinned: Option<String>,
    /// The generation on trial, if it is held whole.
    pub(super) candidate: Option<Candidate>,
    /// Generations that an item tower holds, by id.
    pub(super) held: BTreeMap<String, Arc<Held>>,
    /// Those that every member that should has.
    pub(super) everywhere: BTreeSet<String>,
    /// The members that lack the generation that is to serve.
    pub(super) laggards: Vec<String>,
    /// Who keeps the users.
    pub(super) members: Option<Members>,
    /// The user towers.
    pub(super) users: Vec<UserMember>,
}

/// A user tower as it last described itself.
#[derive(Clone, Debug)]
pub(crate) struct UserMember {
    /// Its name in MEMBERS; empty before it said so.
    pub(crate) name: String,
    /// Its address.
    pub(crate) replica: Arc<Replica>,
    /// Whether it was asked yet.
    pub(super) asked: bool,
    /// Whether its embedding answered lately.
    pub(super) healthy: bool,
    /// Generations whose user model is loaded.
    pub(crate) held: BTreeSet<String>,
}

/// Why a generation answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// It serves.
    Serving,
    /// It is on trial, and the policy gives it this experiment unit.
    Candidate,
    /// The caller named it.
    Named,
}

impl UserMember {
    /// Whether it answers neither looks nor calls, so that it is no use to ask it. Nobody else has its users: it is asked as long as
    /// it may answer.
    pub(crate) fn is_gone(&self) -> bool {
        self.replica.is_out() && !self.healthy
    }
}

impl View {
    /// The generation that answers by default.
    pub(crate) fn pinned(&self) -> Option<&str> {
        self.pinned.as_deref()
    }

    /// Whether a call would go the same way by the other view.
    pub(super) fn shows_the_same(&self, other: &Self) -> bool {
        let names = |view: &Self| (view.pinned.clone(), view.candidate.clone(), view.epoch());
        let held = self.held.iter().zip(&other.held);
        let users = self.users.iter().zip(&other.users);
        names(self) == names(other)
            && self.held.len() == other.held.len()
            && held
                .into_iter()
                .all(|((id, held), (other_id, other))| id == other_id && held.is_held_as(other))
            && self.users.len() == other.users.len()
            && users
                .into_iter()
                .all(|(user, other)| user.name == other.name && user.held == other.held)
    }

    /// What the store names; none before it names anything.
    pub(crate) fn current(&self) -> Option<&Current> {
        self.current.as_ref()
    }

    /// The generation on trial, if it is held whole.
    pub(crate) fn candidate(&self) -> Option<&Candidate> {
        self.candidate.as_ref()
    }

    /// Whether all healthy members hold the generation.
    pub(crate) fn is_everywhere(&self, generation: &str) -> bool {
        self.everywhere.contains(generation)
    }

    /// The addresses of healthy members that lack the generation that is to serve.
    pub(crate) fn laggards(&self) -> &[String] {
        &self.laggards
    }

    /// Generations that an item tower holds, newest first.
    pub(crate) fn generations(&self) -> impl Iterator<Item = &Held> {
        self.held.values().rev().map(|held| &**held)
    }

    /// The generation asked for; if none is, the one that answers for the experiment unit.
    ///
    /// # Errors
    /// [`Error::NoGeneration`] if none is pinned, [`Error::GenerationNotHeld`] if no item tower holds it.
    pub(crate) fn choose(&self, asked: &str, unit: &str) -> Result<(&Arc<Held>, Variant), Error> {
        if !asked.is_empty() {
            return Ok((self.generation(asked)?, Variant::Named));
        }
        match &self.candidate {
            // Who has no name is nobody's unit.
            Some(candidate) if !unit.is_empty() && candidate.takes(unit) => {
                Ok((self.generation(&candidate.generation)?, Variant::Candidate))
            }
            _ => Ok((self.generation("")?, Variant::Serving)),
        }
    }

    /// The generation asked for; empty means the pinned one.
    ///
    /// # Errors
    /// [`Error::NoGeneration`] if none is pinned or no item tower holds that, [`Error::GenerationNotHeld`] if none holds the one asked for.
    pub(crate) fn generation(&self, asked: &str) -> Result<&Arc<Held>, Error> {
        if asked.is_empty() {
            let pinned = self.pinned.as_ref().and_then(|id| self.held.get(id));
            return pinned.ok_or(Error::NoGeneration);
        }
        self.held
            .get(asked)
            .ok_or_else(|| Error::GenerationNotHeld {
                asked: asked.to_owned(),
                held: self.held.keys().rev().cloned().collect(),
            })
    }

    /// The epoch of MEMBERS that owners are chosen by; 0 before it is known.
    pub(crate) fn epoch(&self) -> u64 {
        self.members.as_ref().map_or(0, |members| members.epoch)
    }

    /// Whether MEMBERS is known, and all members were asked for their names.
    pub(crate) fn knows_owners(&self) -> bool {
        self.epoch() > 0 && self.since.is_some()
    }

    /// The member that keeps the user.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if MEMBERS is empty or unknown, or names an owner that no user tower says it is.
    pub(crate) fn owner(&self, user: &str) -> Result<&UserMember, Error> {
        let members = self
            .members
            .as_ref()
            .map_or(&[][..], |members| &members.members);
        let unreachable = |member: &str, cause: &str| Error::Unreachable {
            member: member.to_owned(),
            cause: cause.to_owned(),
        };
        let owner = placement::owner(user, members)
            .ok_or_else(|| unreachable("the user's owner", "the store's MEMBERS names nobody"))?;
        let mut named = self.users.iter().filter(|member| member.name == owner);
        let first = named.next();
        let healthy = first.into_iter().chain(named).find(|member| member.healthy);
        healthy
            .or(first)
            .ok_or_else(|| unreachable(owner, "no user tower says that this is its name"))
    }

    /// The user towers that keep users.
    pub(super) fn owners(&self) -> impl Iterator<Item = &UserMember> {
        self.users.iter().filter(|user| {
            self.members
                .as_ref()
                .is_some_and(|members| members.members.contains(&user.name))
        })
    }

    /// Chooses a user tower that can embed with the generation, other than `not`.
    pub(crate) fn embedder(
        &self,
        generation: &str,
        not: Option<&Replica>,
    ) -> Option<&Arc<Replica>> {
        let able: Vec<_> = self
            .users
            .iter()
            .filter(|user| user.healthy && user.held.contains(generation))
            .map(|user| &user.replica)
            .filter(|replica| replica.rank() == Some(0))
            .filter(|replica| not.is_none_or(|not| !std::ptr::eq(&***replica, not)))
            .collect();
        pick(&able)
    }
}
