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
    /// Those gone by before, if there were any since this server started.
    before: RwLock<Option<Arc<Members>>>,
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
            before: RwLock::default(),
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
        self.as_owner(epoch, users, || ())
    }

    /// Checks as [`check`](Self::check), and does something before this member can go by other MEMBERS.
    ///
    /// # Errors
    /// As [`check`](Self::check); then nothing is done.
    pub(crate) fn as_owner<'a, T>(
        &self,
        epoch: u64,
        users: impl IntoIterator<Item = &'a str>,
        act: impl FnOnce() -> T,
    ) -> Result<T, Error> {
        let members = self.members.read();
        let members = members.unwrap_or_else(PoisonError::into_inner);
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
        Ok(act())
    }

    /// This member's name.
    pub(crate) fn member(&self) -> &str {
        &self.member
    }

    /// The MEMBERS gone by, which must be of `epoch`.
    ///
    /// # Errors
    /// [`Error::MembersEpoch`].
    pub(crate) fn by(&self, epoch: u64) -> Result<Arc<Members>, Error> {
        let members = self.members();
        match members.epoch == epoch {
            true => Ok(members),
            false => Err(Error::MembersEpoch {
                asked: epoch,
                held: members.epoch,
            }),
        }
    }

    /// Whether a former owner may have something of `user` that this member lacks, `settled` being the epoch by which all
    /// was handed over last. With the first MEMBERS of all there are no former owners.
    pub(crate) fn may_lack(&self, user: &str, settled: u64) -> bool {
        let (settled, epoch) = (settled.max(1), self.epoch());
        if epoch <= settled {
            return false;
        }
        let before = self.before.read();
        let before = before.unwrap_or_else(PoisonError::into_inner);
        let was_owner = |before: &Arc<Members>| {
            before.epoch <= settled
                && before.epoch + 1 == epoch
                && placement::owner(user, &before.members) == Some(self.member.as_str())
        };
        !before.as_ref().is_some_and(was_owner)
    }

    /// Does something with what says whether a user is this member's, before this member can go by other MEMBERS.
    pub(crate) fn while_owner<T>(&self, act: impl FnOnce(&dyn Fn(&str) -> bool) -> T) -> T {
        let members = self.members.read();
        let members = members.unwrap_or_else(PoisonError::into_inner);
        act(&|user| placement::owner(user, &members.members) == Some(self.member.as_str()))
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
        let mut before = self.before.write().unwrap_or_else(PoisonError::into_inner);
        if held.epoch < members.epoch {
            *before = Some(Arc::clone(&held));
        }
        *held = Arc::new(members);
    }

    fn members(&self) -> Arc<Members> {
        let members = self.members.read();
        Arc::clone(&members.unwrap_or_else(PoisonError::into_inner))
    }
}
