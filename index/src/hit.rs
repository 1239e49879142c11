//! One found item, and the order in which found items are listed.

use std::cmp::Ordering;

/// An item that was found.
///
/// Hits order best first: by descending score in the total order of floats, then by the smaller id.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// The item.
    pub id: u64,
    /// The greatest dot product over the queries.
    pub score: f32,
    /// The first query that gave the score.
    pub interest: u32,
}

impl Ord for Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .score
            .total_cmp(&self.score)
            .then(self.id.cmp(&other.id))
            .then(self.interest.cmp(&other.interest))
    }
}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Hit {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Hit {}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(id: u64, score: f32) -> Hit {
        Hit {
            id,
            score,
            interest: 0,
        }
    }

    #[test]
    fn the_better_score_comes_first_and_then_the_smaller_id() {
        let mut hits = [
            hit(3, 0.5),
            hit(9, 0.9),
            hit(2, 0.5),
            hit(1, -0.0),
            hit(4, 0.0),
        ];
        hits.sort();
        assert_eq!(hits.map(|hit| hit.id), [9, 2, 3, 4, 1]);
    }
}
