//! What content must beat: orders of the items that know genres and popularity only.

use std::collections::{BTreeMap, HashSet};

use encoder::features::Value;

use crate::cold_start::hidden::Later;
use crate::dataset::Dataset;
use crate::dataset::split::Split;

/// The item feature that holds genres.
const FEATURE: &str = "genres";

/// The genres of every item, and how popular they are.
pub(crate) struct Genres {
    /// By dense item.
    of: Vec<Vec<u32>>,
    /// By genre: events in training for each item that has some.
    popularity: Vec<f32>,
}

impl Genres {
    /// Reads the genres of the split's items; nothing if none has one. `counts` are events in training by dense item.
    pub(crate) fn new(dataset: &Dataset, split: &Split, counts: &[u64]) -> Option<Self> {
        let mut numbers = BTreeMap::new();
        let of: Vec<Vec<u32>> = split
            .items
            .iter()
            .map(|&item| {
                let genres = names(dataset.items[item as usize].features.get(FEATURE)).into_iter();
                genres
                    .map(|genre| {
                        let next = numbers.len() as u32;
                        *numbers.entry(genre).or_insert(next)
                    })
                    .collect()
            })
            .collect();
        let mut totals = vec![(0, 0); numbers.len()];
        for (genres, &count) in of.iter().zip(counts).filter(|(_, count)| **count > 0) {
            for &genre in genres {
                let (events, items) = &mut totals[genre as usize];
                (*events, *items) = (*events + count, *items + 1);
            }
        }
        let popularity = totals
            .iter()
            .map(|&(events, items)| events as f32 / (items.max(1)) as f32)
            .collect();
        (!numbers.is_empty()).then_some(Self { of, popularity })
    }

    /// Scores every item by the mean, over its genres, of the share of the history in the genre.
    pub(crate) fn taste(&self, history: &[u32]) -> Vec<f32> {
        self.score(&self.shares(history))
    }

    /// Scores every item by the mean, over its genres, of the share of the history times the genre's popularity.
    pub(crate) fn popularity(&self, history: &[u32]) -> Vec<f32> {
        let shares = self.shares(history);
        let liked: Vec<f32> = shares
            .iter()
            .zip(&self.popularity)
            .map(|(share, popularity)| share * popularity)
            .collect();
        self.score(&liked)
    }

    fn shares(&self, history: &[u32]) -> Vec<f32> {
        let mut shares = vec![0.0; self.popularity.len()];
        for &genre in history.iter().flat_map(|&item| &self.of[item as usize]) {
            shares[genre as usize] += 1.0 / history.len() as f32;
        }
        shares
    }

    fn score(&self, by_genre: &[f32]) -> Vec<f32> {
        let mean = |genres: &Vec<u32>| {
            let sum: f32 = genres.iter().map(|&genre| by_genre[genre as usize]).sum();
            sum / genres.len().max(1) as f32
        };
        self.of.iter().map(mean).collect()
    }
}

fn names(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::List(genres)) => genres.clone(),
        Some(Value::Text(genre)) => vec![genre.clone()],
        _ => Vec::new(),
    }
}

/// The share of cases whose item is among the first `depth` by `score`, items of the history left out.
///
/// Items of equal score are in random order, and count by the chance to be among the first: orders by genre tie often,
/// and counting all of it against them would make them easy to beat.
pub(crate) fn recall(cases: &[Later], depth: usize, score: impl Fn(&Later) -> Vec<f32>) -> f64 {
    let chance = |case: &Later| {
        let scores = score(case);
        let seen: HashSet<u32> = case.history.iter().copied().collect();
        if seen.contains(&case.item) {
            return 0.0;
        }
        let own = scores[case.item as usize];
        let (mut above, mut equal) = (0, 0);
        for (_, &score) in (0..).zip(&scores).filter(|(item, _)| !seen.contains(item)) {
            above += usize::from(score > own);
            equal += usize::from(score == own);
        }
        (depth.saturating_sub(above) as f64 / equal as f64).min(1.0)
    };
    cases.iter().map(chance).sum::<f64>() / cases.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(item: u32, history: &[u32]) -> Later {
        Later {
            user: 0,
            item,
            positions: Vec::new(),
            history: history.to_vec(),
        }
    }

    fn check(scores: &[f32], history: &[u32], item: u32, expected: f64) {
        let found = recall(&[case(item, history)], 2, |_| scores.to_vec());
        assert!(
            (found - expected).abs() < 1e-9,
            "{scores:?} without {history:?}: {found}"
        );
    }

    #[test]
    fn equal_scores_count_by_their_chance_to_be_among_the_first() {
        check(&[1.0; 4], &[], 3, 0.5);
        check(&[3.0, 1.0, 1.0, 1.0], &[], 3, 1.0 / 3.0);
        check(&[3.0, 2.0, 1.0], &[], 2, 0.0);
        check(&[3.0, 2.0, 1.0], &[], 1, 1.0);
        check(&[3.0, 2.0, 1.0], &[0], 2, 1.0);
        check(&[3.0, 2.0, 1.0], &[2], 2, 0.0);
    }

    #[test]
    fn genres_count_as_the_user_likes_them_and_by_their_items_popularity() {
        let genres = Genres {
            of: vec![vec![0], vec![1], vec![0, 1], vec![]],
            popularity: vec![10.0, 1.0],
        };
        assert_eq!(genres.taste(&[0, 1, 1, 1]), [0.25, 0.75, 0.5, 0.0]);
        assert_eq!(genres.popularity(&[0, 1, 1, 1]), [2.5, 0.75, 1.625, 0.0]);
    }
}
