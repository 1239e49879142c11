//! Chooses one of several members by power of two choices.

use std::{
    cell::Cell,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use super::Replica;

/// Chooses one of the members: of two at random, the one with the smaller cost.
pub(crate) fn pick<'a>(members: &[&'a Arc<Replica>]) -> Option<&'a Arc<Replica>> {
    let count = members.len() as u64;
    match members {
        [] => None,
        [only] => Some(only),
        _ => {
            let dice = roll();
            let first = dice % count;
            let second = (first + 1 + (dice >> 32) % (count - 1)) % count;
            let (first, second) = (members[first as usize], members[second as usize]);
            Some(if second.cost() < first.cost() {
                second
            } else {
                first
            })
        }
    }
}

thread_local! {
    /// Begins anywhere: gateways that begin together shall not choose alike.
    static COUNTER: Cell<u64> = Cell::new(RandomState::new().hash_one(0));
}

/// Lets this thread choose as it did after the last call with this seed.
#[cfg(test)]
pub(crate) fn seed(seed: u64) {
    COUNTER.set(seed);
}

/// Numbers that look random: a counter through the finalizer of splitmix64.
fn roll() -> u64 {
    let next = COUNTER.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    COUNTER.set(next);
    let mut z = next;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
