//! What a model must beat to be worth serving: a popularity list, and a model that only counts.

use crate::dataset::split::Split;

/// How far apart two events may be to count as a transition.
const LAG: usize = 10;
/// How many of the newest events vote.
const NEWEST: usize = 5;
/// What the vote of an event is worth compared with that of the next newer one.
const DECAY: f32 = 0.7;

/// Ranks by the number of events in the training part, the same for everybody.
#[derive(Debug, Clone)]
pub struct Popularity {
    counts: Vec<u32>,
}

impl Popularity {
    /// Counts the training part.
    pub fn fit(split: &Split) -> Self {
        Self {
            counts: split.training_counts(),
        }
    }

    /// Fills in the score of every item.
    pub fn score(&self, scores: &mut [f32]) {
        for (score, &count) in scores.iter_mut().zip(&self.counts) {
            *score = count as f32;
        }
    }
}

/// Item-to-item transitions: which items come soon after which.
///
/// Each pair (item, later item) of a user's training part that is `lag <= 10` events apart counts `1 / lag`; the row of each item is
/// scaled to sum 1. A score is the sum over the 5 newest items of the history of `0.7^j` times their rows, `j = 0` the newest.
#[derive(Debug, Clone)]
pub struct Transitions {
    /// Row of item `i`: `starts[i]..starts[i + 1]` of the two below.
    starts: Vec<usize>,
    later: Vec<u32>,
    weights: Vec<f32>,
}

impl Transitions {
    /// Counts the training part. Keeps only pairs that occur, so that memory grows with events, not with items squared.
    pub fn fit(split: &Split) -> Self {
        let items = split.items.len();
        let (pair_starts, pairs) = pairs_by_item(split);
        let mut sums = vec![0.0; items];
        let mut touched: Vec<u32> = Vec::new();
        let mut transitions = Self {
            starts: vec![0],
            later: Vec::new(),
            weights: Vec::new(),
        };
        for item in 0..items {
            for &(later, lag) in &pairs[pair_starts[item]..pair_starts[item + 1]] {
                if sums[later as usize] == 0.0 {
                    touched.push(later);
                }
                sums[later as usize] += 1.0 / f64::from(lag);
            }
            let total: f64 = touched.iter().map(|&later| sums[later as usize]).sum();
            for later in touched.drain(..) {
                transitions.later.push(later);
                transitions
                    .weights
                    .push((sums[later as usize] / total) as f32);
                sums[later as usize] = 0.0;
            }
            transitions.starts.push(transitions.later.len());
        }
        transitions
    }

    /// Fills in the score of every item after `history`, oldest first.
    pub fn score(&self, history: &[u32], scores: &mut [f32]) {
        scores.fill(0.0);
        let mut vote = 1.0;
        for &item in history.iter().rev().take(NEWEST) {
            let row = self.starts[item as usize]..self.starts[item as usize + 1];
            for (&later, weight) in self.later[row.clone()].iter().zip(&self.weights[row]) {
                scores[later as usize] += vote * weight;
            }
            vote *= DECAY;
        }
    }
}

/// Returns all pairs (later item, lag), those of item `i` at `starts[i]..starts[i + 1]`.
fn pairs_by_item(split: &Split) -> (Vec<usize>, Vec<(u32, u8)>) {
    let mut starts = vec![0; split.items.len() + 1];
    for user in &split.users {
        let training = user.training();
        for (index, &item) in training.iter().enumerate() {
            starts[item as usize + 1] += (training.len() - 1 - index).min(LAG);
        }
    }
    for item in 0..split.items.len() {
        starts[item + 1] += starts[item];
    }
    let mut ends = starts.clone();
    let mut pairs = vec![(0, 0); starts[split.items.len()]];
    for user in &split.users {
        let training = user.training();
        for (index, &item) in training.iter().enumerate() {
            for (lag, &later) in (1..).zip(&training[index + 1..]).take(LAG) {
                pairs[ends[item as usize]] = (later, lag);
                ends[item as usize] += 1;
            }
        }
    }
    (starts, pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::split::Sequence;

    /// A split whose users train on the given items; two more events are held back.
    fn split(items: u32, training: &[&[u32]]) -> Split {
        let sequence = |training: &&[u32]| {
            let items = [training, &[0, 0][..]].concat();
            Sequence {
                values: vec![0.0; items.len()],
                times: vec![0; items.len()],
                events: vec![0; items.len()],
                items,
                user: 0,
            }
        };
        Split {
            items: (0..items).collect(),
            users: training.iter().map(sequence).collect(),
        }
    }

    #[test]
    fn popularity_counts_the_training_part_only() {
        let mut scores = [0.0; 3];
        Popularity::fit(&split(3, &[&[1, 2], &[2]])).score(&mut scores);
        assert_eq!(scores, [0.0, 1.0, 2.0]);
    }

    #[test]
    fn a_transition_counts_one_over_its_lag_and_rows_sum_to_one() {
        let transitions = Transitions::fit(&split(4, &[&[0, 1, 2], &[0, 1]]));
        let mut scores = [0.0; 4];
        transitions.score(&[0], &mut scores);
        assert_eq!(scores, [0.0, 0.8, 0.2, 0.0]);
    }

    #[test]
    fn newer_events_have_the_larger_vote() {
        let transitions = Transitions::fit(&split(4, &[&[0, 2], &[1, 3]]));
        let mut scores = [0.0; 4];
        transitions.score(&[0, 1], &mut scores);
        assert_eq!(scores, [0.0, 0.0, 0.7, 1.0]);
    }

    #[test]
    fn pairs_further_apart_than_ten_do_not_count() {
        let training: Vec<u32> = (0..12).collect();
        let transitions = Transitions::fit(&split(12, &[&training]));
        let mut scores = [0.0; 12];
        transitions.score(&[0], &mut scores);
        assert!(scores[10] > 0.0);
        assert_eq!(scores[11], 0.0);
    }

    #[test]
    fn only_the_five_newest_events_vote() {
        let transitions = Transitions::fit(&split(8, &[&[0, 7]]));
        let mut scores = [0.0; 8];
        transitions.score(&[0, 1, 2, 3, 4, 5], &mut scores);
        assert_eq!(scores, [0.0; 8]);
    }
}
