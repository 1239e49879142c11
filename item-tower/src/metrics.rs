//! What an item tower measures beside its calls.

use index::plan::Plan;
use metrics::{counter, gauge};

/// A shard was searched by `plan`.
pub(crate) fn searched(plan: Plan) {
    let plan = match plan {
        Plan::Scan => "scan",
        Plan::Matches => "matches",
        Plan::Cells => "cells",
        Plan::Graph { .. } => "graph",
    };
    counter!("twotower_searches_total", "plan" => plan).increment(1);
}

/// Live searches of a shard find so much of what there is.
pub(crate) fn measured(shard: u32, recall: f64) {
    gauge!("twotower_measured_recall", "shard" => shard.to_string()).set(recall);
}

/// The newest delta of the catalog that the generation which answers has taken up.
pub(crate) fn delta(number: u64) {
    gauge!("twotower_delta").set(number as f64);
}
