//! Consistency tokens: which write a user's history must include.
//!
//! A token has one entry for each user of a write, `HASH-ARRIVAL` in hex, with dots in between: a hash of the user's id,
//! and when the write arrived. Tokens of several members together are one, put together by a dot.

use generation::partition;

use crate::history::Arrival;

/// The most bytes of a token: as many users as one write may have events.
pub(crate) const BYTES_LIMIT: usize = 40 * 1_000;

/// The token of a write for `users` that arrived at `arrived`.
pub(crate) fn issue<'a>(users: impl IntoIterator<Item = &'a str>, arrived: Arrival) -> String {
    let mut hashes: Vec<u64> = users.into_iter().map(partition::item_id).collect();
    hashes.sort_unstable();
    hashes.dedup();
    let entries = hashes
        .into_iter()
        .map(|hash| format!("{hash:x}-{arrived:x}"));
    entries.collect::<Vec<_>>().join(".")
}

/// When the last write arrived that `token` says `user`'s history must include; 0 if it says nothing of the user, and
/// nothing at all if it is no token.
pub(crate) fn wanted(token: &str, user: &str) -> Option<Arrival> {
    let user = partition::item_id(user);
    let mut wanted = 0;
    for entry in token.split('.').filter(|entry| !entry.is_empty()) {
        let (hash, arrived) = entry.split_once('-')?;
        let hash = u64::from_str_radix(hash, 16).ok()?;
        let arrived = u64::from_str_radix(arrived, 16).ok()?;
        if hash == user {
            wanted = wanted.max(arrived);
        }
    }
    Some(wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_says_of_each_of_its_users_when_the_write_arrived() {
        let token = issue(["ann", "bob", "ann"], 1_700_000_000_000_000);
        for user in ["ann", "bob"] {
            assert_eq!(wanted(&token, user), Some(1_700_000_000_000_000));
        }
        assert_eq!(wanted(&token, "cid"), Some(0));
    }

    #[test]
    fn of_tokens_put_together_the_later_entry_counts() {
        let both = [issue(["ann"], 3), issue(["ann", "bob"], 2)].join(".");
        assert_eq!(wanted(&both, "ann"), Some(3));
        assert_eq!(wanted(&both, "bob"), Some(2));
        assert_eq!(wanted("", "ann"), Some(0));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for other in ["x", "1", "1-", "-1", "1-2.x", "1-11112222333344445"] {
            assert_eq!(wanted(other, "ann"), None, "{other}");
        }
    }

    #[test]
    fn a_token_of_the_most_users_fits() {
        let users: Vec<String> = (0..1_000).map(|user| user.to_string()).collect();
        let token = issue(users.iter().map(String::as_str), 1 << 60);
        assert!(token.len() <= BYTES_LIMIT, "{}", token.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn whatever_a_caller_brings_is_read_or_refused(token in "[0-9a-f+. -]{0,60}|.{0,60}", user in ".{0,9}") {
            let found = wanted(&token, &user);
            prop_assert!(found.is_some() || !token.is_empty());
        }

        #[test]
        fn a_token_of_any_users_says_the_same_of_each(
            users in prop::collection::vec(".{0,9}", 1..5),
            arrived: u64,
            other in ".{0,9}",
        ) {
            let token = issue(users.iter().map(String::as_str), arrived);
            for user in &users {
                prop_assert_eq!(wanted(&token, user), Some(arrived));
            }
            let of_other = if users.contains(&other) { arrived } else { 0 };
            prop_assert_eq!(wanted(&token, &other), Some(of_other));
        }
    }
}
