//! How ANN search over a usearch index differs from exact search.

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

/// A scorer's items in the graph that serves.
pub(crate) struct Search<'a> {
    scorer: &'a Scorer,
    graph: Hnsw,
}

/// What both searches find for one case, best first, seen items excluded.
pub(crate) struct Both {
    /// Exact scores of all candidates; negative infinity for what is not offered.
    pub(crate) scores: Vec<f32>,
    /// By exact search.
    pub(crate) exact: Vec<u32>,
    /// By ANN search.
    pub(crate) ann: Vec<u32>,
}

impl<'a> Search<'a> {
    /// Builds an index over the scorer's items.
    pub(crate) fn build(scorer: &'a Scorer, metric: Metric) -> Result<Self, Error> {
        let config = HnswConfig {
            metric,
            ..HnswConfig::default()
        };
        let graph = Hnsw::build(scorer.rows(), &config, &|_| {})?;
        Ok(Self { scorer, graph })
    }

    /// Searches the `k` best in both ways.
    pub(crate) fn both(&self, index: usize, case: &Case<'_>, k: usize) -> Result<Both, Error> {
        let rows = self.scorer.rows();
        let mut scores = vec![0.0; rows.len() + self.scorer.unknown()];
        self.scorer.score(index, &mut scores);
        for &item in case.history {
            scores[item as usize] = f32::NEG_INFINITY;
        }
        let mut reached = vec![f32::NEG_INFINITY; scores.len()];
        for interest in self.scorer.interests(index) {
            // As many more as may have been seen, as serving does.
            for row in self.graph.search(interest, k + case.history.len())? {
                let item = rows.ids()[row] as usize;
                reached[item] = scores[item];
            }
        }
        Ok(Both {
            exact: metrics::top(&scores, k),
            ann: metrics::top(&reached, k),
            scores,
        })
    }
}

/// Compares the searches over all cases.
pub(crate) fn compare(search: &Search<'_>, cases: &[Case<'_>]) -> Result<Ann, Error> {
    let bar = progress::bar(cases.len() as u64, "users searched");
    let (mut recall, mut hits) = (0.0, 0.0);
    for (index, case) in cases.iter().enumerate() {
        let Both { exact, ann, .. } = search.both(index, case, DEPTH)?;
        let common = exact.iter().filter(|item| ann.contains(item)).count();
        recall += common as f64 / exact.len().max(1) as f64;
        if case
            .target
            .is_some_and(|target| ann.iter().take(HIT_DEPTH).any(|&item| item == target))
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
