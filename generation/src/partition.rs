//! Maps item keys to item ids, and item ids to shards.
//!
//! Both functions are fixed for good: stored ids and the shards of every generation depend on them.
//! A manifest names them, so that a later one can be told apart.

/// The name of [`shard_of`] in a manifest.
pub const PARTITIONER: &str = "splitmix64";

/// Makes the id of an item that a catalog names by a key: the first 8 bytes of the key's BLAKE3
/// hash, as a little-endian number.
///
/// Two of ten million keys share an id with a chance of about 3 in a million; the index builder
/// refuses a catalog where it happens.
pub fn item_id(key: &str) -> u64 {
    first_u64(&blake3::hash(key.as_bytes()))
}

/// Returns the shard, below `shards`, that keeps item `id`.
///
/// SplitMix64's mixing of `id` is scaled to the number of shards: `(mix * shards) >> 64`.
///
/// # Panics
/// If `shards` is 0.
pub fn shard_of(id: u64, shards: u32) -> u32 {
    assert!(shards > 0, "there is no shard to put item {id} in");
    let scaled = (u128::from(mix(id)) * u128::from(shards)) >> 64;
    scaled as u32
}

/// Takes the first 8 bytes of a hash as a little-endian number.
pub(crate) fn first_u64(hash: &blake3::Hash) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

/// The output function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) for state `id`.
fn mix(id: u64) -> u64 {
    let mut z = id.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_mixing_is_splitmix64() {
        // The first outputs of the reference implementation seeded with 0.
        let golden = 0x9e37_79b9_7f4a_7c15_u64;
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(golden), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(mix(golden.wrapping_mul(2)), 0x06c4_5d18_8009_454f);
    }

    #[test]
    fn keys_keep_their_ids_for_good() {
        // BLAKE3 of nothing starts af1349b9f5f9a1a6 in the reference test vectors.
        assert_eq!(item_id(""), 0xa6a1_f9f5_b949_13af);
        assert_eq!(item_id("sku-7"), 14_263_338_916_209_410_108);
    }

    #[test]
    fn items_keep_their_shards_for_good() {
        let shards: Vec<u32> = (0..12).map(|id| shard_of(id, 4)).collect();
        assert_eq!(shards, [3, 2, 2, 0, 1, 1, 2, 1, 2, 2, 0, 1]);
        assert_eq!(shard_of(u64::MAX, 1), 0);
    }

    #[test]
    fn shards_are_filled_evenly() {
        let mut counts = [0_u32; 7];
        for id in 0..70_000 {
            counts[shard_of(id, 7) as usize] += 1;
        }
        for count in counts {
            assert!((9_600..=10_400).contains(&count), "{counts:?}");
        }
    }

    proptest! {
        #[test]
        fn every_item_has_a_shard(id: u64, shards in 1_u32..=u32::MAX) {
            prop_assert!(shard_of(id, shards) < shards);
        }
    }
}
