//! How many items to ask of each shard, so that the best of all are almost surely among them.

/// The chance that some shard has more of the best than it is asked for.
const MISS: f64 = 1e-6;

/// Returns the smallest count such that the `k` best items of all lie, with a chance of all but a millionth, at most so many to each of
/// the `shards`: `k` if there are few shards.
///
/// Items fall to shards by a hash, so how many of the best one shard has is binomial; the chance that one of them has more is at most
/// the sum of their chances.
pub(crate) fn shard_k(k: usize, shards: u32) -> usize {
    if shards < 2 {
        return k;
    }
    let share = 1.0 / f64::from(shards);
    let odds = share / (1.0 - share);
    // Of exactly `count` items, and of more than `count`.
    let mut exactly = (k as f64 * (-share).ln_1p()).exp();
    let mut more = 1.0 - exactly;
    for count in 0..k {
        if more * f64::from(shards) < MISS {
            return count;
        }
        exactly *= (k - count) as f64 / (count + 1) as f64 * odds;
        more -= exactly;
    }
    k
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hundred_items_over_many_shards_are_a_handful_each() {
        let found: Vec<_> = [1, 2, 8, 32, 100, 1_000]
            .map(|shards| shard_k(100, shards))
            .into();
        assert_eq!(found, [100, 74, 32, 16, 10, 6]);
        assert_eq!(shard_k(0, 4), 0);
        assert_eq!(shard_k(1, 1_000_000), 1);
    }

    proptest! {
        #[test]
        fn all_shards_together_can_always_give_k(k in 1usize..1_001, shards in 1u32..2_000) {
            let asked = shard_k(k, shards);
            prop_assert!(asked <= k && asked >= 1);
            prop_assert!(asked * shards as usize >= k);
        }
    }
}
