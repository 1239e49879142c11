//! Chooses one of several members by power of two choices.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
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

/// Numbers that look random: a counter through the finalizer of splitmix64.
fn roll() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut z = COUNTER.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
