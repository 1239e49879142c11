//! Merges the shards' hits into one list, best first.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet, binary_heap::PeekMut},
};

use crate::hit::Hit;

/// Returns the `k` best hits of all lists, best first, each item once.
///
/// Each list must be best first itself. Of an item that several lists have, the best hit counts. Looks at no
/// more than the first hit of each list and those that it takes.
pub(crate) fn merge<'a>(lists: impl IntoIterator<Item = &'a [Hit]>, k: usize) -> Vec<Hit> {
    let mut rests: Vec<_> = lists
        .into_iter()
        .inspect(|list| debug_assert!(list.is_sorted()))
        .map(<[Hit]>::iter)
        .collect();
    let mut heads: BinaryHeap<_> = rests
        .iter_mut()
        .enumerate()
        .filter_map(|(list, rest)| Some(Reverse((*rest.next()?, list))))
        .collect();

    let mut taken = HashSet::with_capacity(k);
    let mut merged = Vec::with_capacity(k);
    while merged.len() < k
        && let Some(mut head) = heads.peek_mut()
    {
        let Reverse((best, list)) = *head;
        if taken.insert(best.id) {
            merged.push(best);
        }
        match rests[list].next() {
            Some(next) => *head = Reverse((*next, list)),
            None => drop(PeekMut::pop(head)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hit::Source;

    fn hit(id: u64, score: f32) -> Hit {
        Hit {
            id,
            score,
            interest: 0,
            source: Source::Exact,
        }
    }

    fn merged(lists: &[Vec<Hit>], k: usize) -> Vec<Hit> {
        merge(lists.iter().map(Vec::as_slice), k)
    }

    fn ids(lists: Vec<Vec<Hit>>, k: usize) -> Vec<u64> {
        merged(&lists, k).iter().map(|hit| hit.id).collect()
    }

    #[test]
    fn equal_scores_order_by_the_smaller_id() {
        let lists = vec![vec![hit(9, 0.5)], vec![hit(3, 0.5), hit(4, 0.5)]];
        assert_eq!(ids(lists, 10), [3, 4, 9]);
    }

    #[test]
    fn an_item_of_two_lists_stands_once_with_its_best_score() {
        let lists = [vec![hit(1, 0.9), hit(7, 0.1)], vec![hit(7, 0.8)]];
        assert_eq!(merged(&lists, 10), [hit(1, 0.9), hit(7, 0.8)]);
    }

    #[test]
    fn no_lists_and_no_room_give_nothing() {
        assert!(ids(vec![], 5).is_empty());
        assert!(ids(vec![vec![hit(1, 1.0)]], 0).is_empty());
    }

    /// Few different ids and scores, so that ties and repeated items are common; signed zeros and infinities too.
    fn lists() -> impl Strategy<Value = Vec<Vec<Hit>>> {
        let score = prop_oneof![
            (-3i8..=3).prop_map(|score| f32::from(score) / 2.0),
            Just(-0.0),
            Just(f32::INFINITY),
            any::<f32>().prop_filter("a shard refuses NaN", |score| !score.is_nan()),
        ];
        let hits = prop::collection::vec((0u64..40, score), 0..30);
        prop::collection::vec(hits, 0..9).prop_map(|lists| {
            lists
                .into_iter()
                .map(|list| {
                    let mut list: Vec<_> =
                        list.into_iter().map(|(id, score)| hit(id, score)).collect();
                    list.sort();
                    list
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn merging_equals_sorting_everything(lists in lists(), k in 0usize..60) {
            let mut all = lists.concat();
            all.sort();
            let mut taken = HashSet::new();
            all.retain(|hit| taken.insert(hit.id));
            all.truncate(k);
            prop_assert_eq!(merged(&lists, k), all);
        }
    }
}
