//! One consistent picture of the house: what is held, by whom, and what answers.

use std::{collections::BTreeMap, sync::Arc};

use generation::{placement, store::Members};

use super::{Held, UserMember};
use crate::{
    error::Error,
    replica::{Replica, pick},
};

/// What one look at the members and the store found. A call keeps one view from start to end.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// Which poll made it; 0 before the first.
    pub(super) number: u64,
    /// The generation that answers by default.
    pub(super) pinned: Option<String>,
    /// Generations that an item tower holds, by id.
    pub(super) held: BTreeMap<String, Arc<Held>>,
    /// Who keeps the users.
    pub(super) members: Option<Members>,
    /// All user towers that the config knows.
    pub(super) users: Vec<UserMember>,
}

impl View {
    /// The generation that answers by default.
    pub(crate) fn pinned(&self) -> Option<&str> {
        self.pinned.as_deref()
    }

    /// Generations that an item tower holds, newest first.
    pub(crate) fn generations(&self) -> impl Iterator<Item = &Held> {
        self.held.values().rev().map(|held| &**held)
    }

    /// The generation asked for; empty means the pinned one.
    ///
    /// # Errors
    /// [`Error::NoGeneration`] if none is pinned, [`Error::GenerationNotHeld`] if no item tower holds it.
    pub(crate) fn generation(&self, asked: &str) -> Result<&Arc<Held>, Error> {
        let id = match (asked, &self.pinned) {
            ("", None) => return Err(Error::NoGeneration),
            ("", Some(pinned)) => pinned,
            (asked, _) => asked,
        };
        self.held.get(id).ok_or_else(|| Error::GenerationNotHeld {
            asked: id.to_owned(),
            held: self.held.keys().rev().cloned().collect(),
        })
    }

    /// The epoch of MEMBERS that owners are chosen by; 0 before it is known.
    pub(crate) fn epoch(&self) -> u64 {
        self.members.as_ref().map_or(0, |members| members.epoch)
    }

    /// The member that keeps the user.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if MEMBERS is empty or unknown, or names an owner whose address the config lacks.
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
        self.users
            .iter()
            .find(|member| member.name == owner)
            .ok_or_else(|| unreachable(owner, "it has no address in user_towers"))
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
            .filter(|replica| not.is_none_or(|not| !std::ptr::eq(&***replica, not)))
            .collect();
        pick(&able)
    }
}
