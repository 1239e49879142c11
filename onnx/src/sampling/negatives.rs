//! Draws items that a user has not watched.

use rand::Rng;

use crate::model::vocabulary::RESERVED;

/// Draws before the search goes on from where the last one fell.
const DRAWS: usize = 32;

/// The items that each user has watched in the training part.
#[derive(Clone, Debug)]
pub(crate) struct Unwatched {
    watched: Vec<Vec<u32>>,
    end: u32,
}

impl Unwatched {
    /// `watched` are vocabulary ids by user, in any order; `rows` is the size of the vocabulary.
    pub(crate) fn new(watched: impl IntoIterator<Item = Vec<u32>>, rows: usize) -> Self {
        let sorted = |mut items: Vec<u32>| {
            items.sort_unstable();
            items.dedup();
            items
        };
        Self {
            watched: watched.into_iter().map(sorted).collect(),
            end: rows as u32,
        }
    }

    /// Whether there is anything to draw for a user.
    pub(crate) fn any(&self, user: u32) -> bool {
        self.watched[user as usize].len() + RESERVED < self.end as usize
    }

    /// The items that a user has watched, ascending.
    pub(crate) fn watched(&self, user: u32) -> &[u32] {
        &self.watched[user as usize]
    }

    /// How many items there are.
    pub(crate) fn items(&self) -> usize {
        self.end as usize - RESERVED
    }

    /// Draws one item that the user has not watched; there must be [`any`](Self::any).
    pub(crate) fn draw(&self, user: u32, rng: &mut impl Rng) -> u32 {
        let watched = &self.watched[user as usize];
        let mut item = 0;
        for _ in 0..DRAWS {
            item = rng.random_range(RESERVED as u32..self.end);
            if watched.binary_search(&item).is_err() {
                return item;
            }
        }
        while watched.binary_search(&item).is_ok() {
            item = if item + 1 < self.end {
                item + 1
            } else {
                RESERVED as u32
            };
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn only_unwatched_items_are_drawn_and_each_of_them() {
        let unwatched = Unwatched::new([vec![4, 2, 4], (2..9).collect(), (2..10).collect()], 10);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut drawn: Vec<u32> = (0..200).map(|_| unwatched.draw(0, &mut rng)).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn, [3, 5, 6, 7, 8, 9]);
        assert!((0..50).all(|_| unwatched.draw(1, &mut rng) == 9));
        assert!(unwatched.any(1));
        assert!(!unwatched.any(2));
    }
}
