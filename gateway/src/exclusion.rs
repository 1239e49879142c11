//! The items to leave out, dealt to the shards that hold them.

use generation::partition;

/// Excluded ids by shard, each list ascending and without repeats.
#[derive(Debug)]
pub(crate) struct Exclusion {
    shards: Vec<Vec<u64>>,
}

impl Exclusion {
    /// Deals `ids`, in any order and with repeats, to the shards that hold them if anyone does.
    pub(crate) fn new(shards: u32, ids: impl IntoIterator<Item = u64>) -> Self {
        let mut dealt = vec![Vec::new(); shards as usize];
        for id in ids {
            dealt[partition::shard_of(id, shards) as usize].push(id);
        }
        for ids in &mut dealt {
            ids.sort_unstable();
            ids.dedup();
        }
        Self { shards: dealt }
    }

    /// The excluded ids that `shard` would hold, ascending.
    pub(crate) fn of(&self, shard: u32) -> &[u64] {
        self.shards.get(shard as usize).map_or(&[], Vec::as_slice)
    }

    /// Whether the item is excluded.
    pub(crate) fn contains(&self, id: u64) -> bool {
        let shard = partition::shard_of(id, self.shards.len() as u32);
        self.of(shard).binary_search(&id).is_ok()
    }

    /// How many items are excluded over all shards.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_goes_to_its_shard_once_and_in_order() {
        let exclusion = Exclusion::new(3, [9, 1, 5, 9, 2, 1]);
        assert_eq!(exclusion.len(), 4);
        for shard in 0..3 {
            let ids = exclusion.of(shard);
            assert!(ids.is_sorted());
            assert!(ids.iter().all(|&id| partition::shard_of(id, 3) == shard));
        }
        assert!(exclusion.contains(5));
        assert!(!exclusion.contains(6));
    }
}
