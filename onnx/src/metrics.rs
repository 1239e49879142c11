//! Ranks what a user did next among all items, and sums the ranks up.
//!
//! Every item is a candidate, never a sample of them, and an item with the score of the target counts as ranked before it:
//! a model that answers one constant gets nothing.

use std::{num::NonZero, thread};

use serde::{Deserialize, Serialize};

/// How many recommendations count for the coverage of the catalog.
const COVERAGE_DEPTH: usize = 10;

/// One ranking task: a history and what came next.
#[derive(Debug, Clone, PartialEq)]
pub struct Case<'a> {
    /// The item that came next; nothing if it is no candidate, which is a miss.
    pub target: Option<u32>,
    /// The items before it, oldest first. Left out of the ranking where seen items are excluded.
    pub history: &'a [u32],
}

/// What a model reached over all users of a protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// How many users were ranked.
    pub users: usize,
    /// Share of users whose target is among the first 10.
    #[serde(rename = "hr@10")]
    pub hr_10: f64,
    /// Mean of `1 / log2(rank + 1)` over targets among the first 10, ranks from 1.
    #[serde(rename = "ndcg@10")]
    pub ndcg_10: f64,
    /// Share of users whose target is among the first 50.
    #[serde(rename = "hr@50")]
    pub hr_50: f64,
    /// Share of users whose target is among the first 100.
    #[serde(rename = "hr@100")]
    pub hr_100: f64,
    /// Share of users whose target is among the first 200.
    #[serde(rename = "hr@200")]
    pub hr_200: f64,
    /// Mean of `1 / rank`, ranks from 1.
    pub mrr: f64,
    /// Share of the candidates that are among the first 10 of at least one user.
    pub coverage: f64,
}

/// Where each user's target was ranked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranking {
    /// Rank of each case's target, from 0; nothing for a target that is no candidate.
    pub ranks: Vec<Option<u32>>,
    /// See [`Figures::coverage`].
    pub coverage: f64,
}

/// The same scores ranked in the two ways.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rankings {
    /// Items of the history are no candidates; a target among them is a miss, for it would never be offered.
    pub seen_excluded: Ranking,
    /// Every item is a candidate.
    pub seen_included: Ranking,
}

impl Ranking {
    /// Sums the ranks up.
    pub fn figures(&self) -> Figures {
        let ranks = || self.ranks.iter().flatten().map(|&rank| f64::from(rank));
        let mean = |sum: f64| sum / self.ranks.len().max(1) as f64;
        let hit_rate = |k: f64| mean(ranks().filter(|&rank| rank < k).count() as f64);
        Figures {
            users: self.ranks.len(),
            hr_10: hit_rate(10.0),
            ndcg_10: mean(
                ranks()
                    .filter(|&rank| rank < 10.0)
                    .map(|rank| 1.0 / (rank + 2.0).log2())
                    .sum(),
            ),
            hr_50: hit_rate(50.0),
            hr_100: hit_rate(100.0),
            hr_200: hit_rate(200.0),
            mrr: mean(ranks().map(|rank| 1.0 / (rank + 1.0)).sum()),
            coverage: self.coverage,
        }
    }
}

/// Ranks every case among `items` candidates, on all cores.
///
/// `score` fills in one score for each candidate (case, scores of length `items`); a candidate with a score of negative infinity
/// or NaN is not offered.
pub fn rank(
    cases: &[Case<'_>],
    items: usize,
    score: impl Fn(usize, &mut [f32]) + Sync,
) -> Rankings {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let chunk = cases.len().div_ceil(threads).max(1);
    let rank_chunk = |(index, chunk_cases): (usize, &[Case<'_>])| {
        let mut excluded = Tally::new(items);
        let mut included = Tally::new(items);
        let mut scores = vec![0.0; items];
        for (offset, case) in chunk_cases.iter().enumerate() {
            score(index * chunk + offset, &mut scores);
            included.add(&scores, case.target);
            for &item in case.history {
                scores[item as usize] = f32::NEG_INFINITY;
            }
            excluded.add(&scores, case.target);
        }
        (excluded, included)
    };
    let tallies = thread::scope(|scope| {
        let spawn = |part| scope.spawn(move || rank_chunk(part));
        let running: Vec<_> = cases.chunks(chunk).enumerate().map(spawn).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(tally) => tally,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        running.into_iter().map(join).collect::<Vec<_>>()
    });
    let (mut excluded, mut included) = (Tally::new(items), Tally::new(items));
    for (more_excluded, more_included) in tallies {
        excluded.extend(more_excluded);
        included.extend(more_included);
    }
    Rankings {
        seen_excluded: excluded.finish(),
        seen_included: included.finish(),
    }
}

/// Returns how many candidates are ranked before `target`; nothing if the target is not offered.
pub fn rank_of(scores: &[f32], target: u32) -> Option<u32> {
    let score = scores[target as usize];
    if !is_offered(score) {
        return None;
    }
    let not_below = scores.iter().filter(|&&other| other >= score).count();
    Some(not_below as u32 - 1)
}

/// Returns the best `k` candidates, best first; ties go to the smaller index.
pub fn top(scores: &[f32], k: usize) -> Vec<u32> {
    let mut offered: Vec<u32> = (0..scores.len() as u32)
        .filter(|&item| is_offered(scores[item as usize]))
        .collect();
    let better = |a: &u32, b: &u32| {
        scores[*b as usize]
            .total_cmp(&scores[*a as usize])
            .then(a.cmp(b))
    };
    if k < offered.len() && k > 0 {
        offered.select_nth_unstable_by(k - 1, better);
    }
    offered.truncate(k);
    offered.sort_unstable_by(better);
    offered
}

fn is_offered(score: f32) -> bool {
    score > f32::NEG_INFINITY
}

/// Ranks gathered so far.
struct Tally {
    ranks: Vec<Option<u32>>,
    offered: Vec<bool>,
}

impl Tally {
    fn new(items: usize) -> Self {
        Self {
            ranks: Vec::new(),
            offered: vec![false; items],
        }
    }

    fn add(&mut self, scores: &[f32], target: Option<u32>) {
        self.ranks
            .push(target.and_then(|target| rank_of(scores, target)));
        for item in top(scores, COVERAGE_DEPTH) {
            self.offered[item as usize] = true;
        }
    }

    /// Takes in the tally of the cases that follow.
    fn extend(&mut self, more: Self) {
        self.ranks.extend(more.ranks);
        for (offered, more) in self.offered.iter_mut().zip(more.offered) {
            *offered |= more;
        }
    }

    fn finish(self) -> Ranking {
        let offered = self.offered.iter().filter(|&&offered| offered).count();
        Ranking {
            ranks: self.ranks,
            coverage: offered as f64 / self.offered.len().max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scores: &[f32], target: u32, expected: Option<u32>) {
        assert_eq!(rank_of(scores, target), expected, "{scores:?} at {target}");
    }

    #[test]
    fn equal_scores_count_against_us() {
        check(&[1.0, 1.0, 1.0], 0, Some(2));
        check(&[3.0, 2.0, 1.0, 2.0], 1, Some(2));
        check(&[3.0, 2.0, 1.0], 0, Some(0));
    }

    #[test]
    fn a_target_that_is_not_offered_is_a_miss() {
        check(&[f32::NEG_INFINITY, 1.0], 0, None);
        check(&[f32::NAN, 1.0], 0, None);
    }

    #[test]
    fn the_figures_of_known_ranks_are_these() {
        let ranks = vec![Some(0), Some(9), Some(10), Some(199), None];
        let figures = Ranking {
            ranks,
            coverage: 0.5,
        }
        .figures();
        assert_eq!(figures.users, 5);
        assert_eq!(figures.hr_10, 0.4);
        assert_eq!(figures.hr_50, 0.6);
        assert_eq!(figures.hr_100, 0.6);
        assert_eq!(figures.hr_200, 0.8);
        assert!((figures.ndcg_10 - (1.0 + 1.0 / 11f64.log2()) / 5.0).abs() < 1e-12);
        assert!((figures.mrr - (1.0 + 0.1 + 1.0 / 11.0 + 0.005) / 5.0).abs() < 1e-12);
    }

    #[test]
    fn seen_items_are_candidates_in_one_ranking_only() {
        let case = Case {
            target: Some(2),
            history: &[0, 1],
        };
        let missed = Case {
            target: Some(0),
            history: &[0],
        };
        let unknown = Case {
            target: None,
            history: &[],
        };
        let cases = [case, missed, unknown];
        let rankings = rank(&cases, 4, |_, scores| {
            scores.copy_from_slice(&[4.0, 3.0, 2.0, 1.0])
        });
        assert_eq!(rankings.seen_excluded.ranks, [Some(0), None, None]);
        assert_eq!(rankings.seen_included.ranks, [Some(2), Some(0), None]);
    }

    #[test]
    fn coverage_is_the_share_of_items_offered_to_anyone() {
        let cases = vec![
            Case {
                target: Some(0),
                history: &[]
            };
            3
        ];
        let shifted = |case: usize, scores: &mut [f32]| {
            for (item, score) in scores.iter_mut().enumerate() {
                *score = ((item + case) % 40) as f32;
            }
        };
        assert_eq!(
            rank(&cases, 40, shifted).seen_included.coverage,
            12.0 / 40.0
        );
    }

    #[test]
    fn the_top_is_sorted_and_ties_go_to_the_smaller_index() {
        assert_eq!(top(&[1.0, 3.0, 3.0, f32::NEG_INFINITY, 2.0], 3), [1, 2, 4]);
        assert_eq!(top(&[1.0, f32::NEG_INFINITY], 9), [0]);
        assert_eq!(top(&[1.0], 0), [0u32; 0]);
    }
}
