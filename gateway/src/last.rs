//! What the towers last said of stored users, for as long as the tower that keeps one cannot be reached.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;

use crate::user_tower::User;

/// For how long it is kept: what a user did since is not in it, and a user who was deleted by another gateway is in it so long.
const KEPT: Duration = Duration::from_secs(5 * 60);
/// Bytes of an entry beyond its vectors, its seen items and its key.
const ENTRY: usize = 200;

/// The users last embedded, by id.
#[derive(Debug)]
pub(crate) struct LastUsers {
    users: Cache<String, Arc<User>>,
}

impl LastUsers {
    /// Keeps at most about so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let weigh = |id: &String, user: &Arc<User>| {
            let bytes = id.len() + user.bytes() + ENTRY;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let users = Cache::builder()
            .max_capacity(bytes)
            .weigher(weigh)
            .time_to_live(KEPT);
        Self {
            users: users.build(),
        }
    }

    /// Notes what a tower said of a user.
    pub(crate) fn note(&self, id: &str, user: &Arc<User>) {
        self.users.insert(id.to_owned(), user.clone());
    }

    /// What a tower last said of a user, if it is in `space`.
    pub(crate) fn get(&self, id: &str, space: &str) -> Option<Arc<User>> {
        let user = self.users.get(id)?;
        (user.interests.vectors.space == space).then_some(user)
    }

    /// Forgets a user.
    pub(crate) fn forget(&self, id: &str) {
        self.users.invalidate(id);
    }
}
