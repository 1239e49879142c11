//! Which users are this member's, by the MEMBERS of the store.

use std::{
    convert::Infallible,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use generation::{
    error::Error as StoreError,
    placement,
    store::{Members, Store},
};
use tracing::{error, info, warn};

use crate::error::Error;

/// This member's name, and the MEMBERS that it goes by.
pub(crate) struct Ownership {
    member: String,
    members: RwLock<Arc<Members>>,
}

impl Ownership {
    /// Reads MEMBERS; where there is none, makes it with `member` alone.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub(crate) async fn open(store: &Store, member: &str) -> Result<Self, StoreError> {
        let members = loop {
            if let Some(found) = store.members().await? {
                break found.value;
            }
            let alone = Members {
                epoch: 1,
                members: vec![member.to_owned()],
            };
            match store.swap_members(None, &alone).await {
                Ok(()) => info!(member, "MEMBERS made"),
                // Another member was quicker; its MEMBERS hold.
                Err(StoreError::Conflict { .. }) => {}
                Err(failed) => return Err(failed),
            }
        };
        let ownership = Self {
            member: member.to_owned(),
            members: RwLock::new(Arc::new(members.clone())),
        };
        ownership.take(members);
        Ok(ownership)
    }

    /// Checks that the caller goes by the same MEMBERS (an epoch of 0 goes by none) and that each
    /// of `users` is this member's.
    ///
    /// # Errors
    /// [`Error::MembersEpoch`] or [`Error::ForeignUser`].
    pub(crate) fn check<'a>(
        &self,
        epoch: u64,
        users: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Error> {
        let members = self.members();
        if epoch != 0 && epoch != members.epoch {
            return Err(Error::MembersEpoch {
                asked: epoch,
                held: members.epoch,
            });
        }
        for user in users {
            let owner = placement::owner(user, &members.members).unwrap_or("nobody");
            if owner != self.member {
                return Err(Error::ForeignUser {
                    user: user.to_owned(),
                    owner: owner.to_owned(),
                    member: self.member.clone(),
                    epoch: members.epoch,
                });
            }
        }
        Ok(())
    }

    /// Whether `user` is this member's.
    pub(crate) fn owns(&self, user: &str) -> bool {
        placement::owner(user, &self.members().members) == Some(self.member.as_str())
    }

    /// The epoch of the MEMBERS gone by.
    pub(crate) fn epoch(&self) -> u64 {
        self.members().epoch
    }

    /// Follows MEMBERS for good.
    pub(crate) async fn follow(&self, store: &Store, refresh: Duration) -> Infallible {
        let mut readable = true;
        loop {
            tokio::time::sleep(refresh).await;
            match store.members().await {
                Ok(Some(found)) if found.value != *self.members() => self.take(found.value),
                Ok(Some(_)) => readable = true,
                Ok(None) => {
                    if std::mem::replace(&mut readable, false) {
                        error!("MEMBERS is gone, the last known holds");
                    }
                }
                Err(cause) => {
                    if std::mem::replace(&mut readable, false) {
                        error!(%cause, "MEMBERS cannot be read, the last known holds");
                    }
                }
            }
        }
    }

    fn take(&self, members: Members) {
        info!(epoch = members.epoch, members = ?members.members, "going by MEMBERS");
        if !members.members.contains(&self.member) {
            warn!(
                member = self.member,
                "MEMBERS does not name this member, it owns nobody"
            );
        }
        let mut held = self.members.write().unwrap_or_else(PoisonError::into_inner);
        *held = Arc::new(members);
    }

    fn members(&self) -> Arc<Members> {
        let members = self.members.read();
        Arc::clone(&members.unwrap_or_else(PoisonError::into_inner))
    }
}
