//! Says which members hold a shard and which member owns a user.
//!
//! Pure functions of the members' names: everybody who knows the list comes to the same answer.

use std::cmp::Reverse;

use crate::partition::first_u64;

/// Returns the member that keeps `user`'s history, or `None` if there are no members.
///
/// Rendezvous hashing: each member draws a number with the user, the greatest owns it, and equal
/// ones go to the smaller name. The order of `members` does not matter. A member that joins takes
/// its share of the users and moves nobody else; one that leaves gives up only its own.
pub fn owner<'a>(user: &str, members: &'a [String]) -> Option<&'a str> {
    members
        .iter()
        .max_by_key(|member| (weight(user, member), Reverse(member.as_str())))
        .map(String::as_str)
}

/// Returns the members that hold `shard`, at most `copies` of them, each once: copy `r` is on
/// member `(shard + r) % members`, so that members hold equally many shards, give or take one a copy.
pub fn replicas(shard: u32, members: &[String], copies: usize) -> Vec<&str> {
    let first = shard as usize;
    (0..copies.min(members.len()))
        .map(|copy| members[(first + copy) % members.len()].as_str())
        .collect()
}

/// The number that `member` draws with `user`. The user's length keeps the two names apart.
fn weight(user: &str, member: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(user.len() as u64).to_le_bytes());
    hasher.update(user.as_bytes());
    hasher.update(member.as_bytes());
    first_u64(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn members(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("user-tower-{n}")).collect()
    }

    #[test]
    fn users_keep_their_owners_for_good() {
        let members = members(3);
        let owners = ["", "1", "2", "3", "4", "alice"].map(|user| owner(user, &members).unwrap());
        let numbers = owners.map(|owner| owner.trim_start_matches("user-tower-"));
        assert_eq!(numbers, ["1", "1", "2", "1", "1", "2"]);
    }

    #[test]
    fn nobody_owns_a_user_when_there_are_no_members() {
        assert_eq!(owner("1", &[]), None);
        assert!(replicas(0, &[], 2).is_empty());
    }

    #[test]
    fn owners_are_spread_evenly() {
        let members = members(4);
        let mut counts = BTreeMap::new();
        for user in 0..8_000 {
            *counts
                .entry(owner(&user.to_string(), &members).unwrap())
                .or_insert(0) += 1;
        }
        assert!(
            counts.values().all(|count| (1_850..=2_150).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn copies_of_a_shard_are_on_different_members() {
        let members = members(3);
        assert_eq!(replicas(4, &members, 2), ["user-tower-1", "user-tower-2"]);
        assert_eq!(
            replicas(5, &members, 9),
            ["user-tower-2", "user-tower-0", "user-tower-1"]
        );
    }

    proptest! {
        #[test]
        fn a_member_that_joins_moves_users_to_itself_only(user in ".{0,20}", count in 1_usize..8) {
            let after = members(count + 1);
            let before = owner(&user, &after[..count]).unwrap();
            let now = owner(&user, &after).unwrap();
            prop_assert!(now == before || now == after[count]);
        }

        #[test]
        fn the_order_of_members_does_not_matter(user in ".{0,20}", count in 1_usize..8, turn in 0_usize..8) {
            let members = members(count);
            let mut turned = members.clone();
            turned.rotate_left(turn % count);
            prop_assert_eq!(owner(&user, &members), owner(&user, &turned));
        }

        #[test]
        fn members_hold_equally_many_shards(shards in 1_u32..64, count in 1_usize..9, copies in 1_usize..4) {
            let members = members(count);
            let mut held = BTreeMap::new();
            for shard in 0..shards {
                let replicas = replicas(shard, &members, copies);
                prop_assert_eq!(replicas.len(), copies.min(count));
                for member in replicas {
                    *held.entry(member.to_owned()).or_insert(0_usize) += 1;
                }
            }
            let most = held.values().max().copied().unwrap_or(0);
            let least = members.iter().map(|m| held.get(m).copied().unwrap_or(0)).min().unwrap();
            prop_assert!(most - least <= copies, "{:?}", held);
        }
    }
}
