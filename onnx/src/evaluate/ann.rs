//! How ANN search over a usearch index differs from exact search.

use std::collections::HashSet;

use index::hnsw::{Hnsw, HnswConfig, Metric};
use serde::Serialize;

use crate::{
    evaluate::{Error, vectors::Scorer},
    metrics::{self, Case},
    progress,
};

/// How many hits are compared.
const DEPTH: usize = 100;
/// How many hits count for HR.
const HIT_DEPTH: usize = 10;

/// ANN search beside exact search, seen items excluded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ann {
    /// Share of the 100 best by exact search that ANN search finds.
    #[serde(rename = "ann_recall@100")]
    pub recall_100: f64,
    /// HR@10 of the ANN search's order.
    #[serde(rename = "ann_hr@10")]
    pub hr_10: f64,
}

/// Builds an index over the scorer's items and searches it for every case.
pub(crate) fn compare(scorer: &Scorer, cases: &[Case<'_>], metric: Metric) -> Result<Ann, Error> {
    let rows = scorer.rows();
    let config = HnswConfig {
        metric,
        ..HnswConfig::default()
    };
    let graph = Hnsw::build(rows, &config, &|_| {})?;
    let bar = progress::bar(cases.len() as u64, "users searched");
    let mut scores = vec![0.0; rows.len() + scorer.unknown()];
    let (mut recall, mut hits) = (0.0, 0.0);
    for (index, case) in cases.iter().enumerate() {
        scorer.score(index, &mut scores);
        for &item in case.history {
            scores[item as usize] = f32::NEG_INFINITY;
        }
        let exact = metrics::top(&scores, DEPTH);
        let seen: HashSet<u32> = case.history.iter().copied().collect();
        let mut reached = vec![f32::NEG_INFINITY; scores.len()];
        for interest in scorer.interests(index) {
            // As many more as may have been seen, as serving does.
            for row in graph.search(interest, DEPTH + seen.len())? {
                let item = rows.ids()[row] as usize;
                reached[item] = scores[item];
            }
        }
        let found = metrics::top(&reached, DEPTH);
        let common = exact.iter().filter(|item| found.contains(item)).count();
        recall += common as f64 / exact.len().max(1) as f64;
        if case
            .target
            .is_some_and(|target| found.iter().take(HIT_DEPTH).any(|&item| item == target))
        {
            hits += 1.0;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Ann {
        recall_100: recall / cases.len() as f64,
        hr_10: hits / cases.len() as f64,
    })
}
