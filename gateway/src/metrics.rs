//! What a gateway measures beside its calls.

use std::collections::BTreeSet;

use metrics::{counter, gauge, histogram};

use crate::answer::Degraded;

/// Shows at 0 what has not happened yet.
pub(crate) fn begin() {
    counter!("twotower_hedges_total").increment(0);
    counter!("twotower_shed_total").increment(0);
    for reason in REASONS {
        counter!("twotower_degraded_total", "reason" => name(reason)).increment(0);
    }
}

/// Why an answer may be worse.
const REASONS: [Degraded; 6] = [
    Degraded::ShardUnreachable,
    Degraded::Deadline,
    Degraded::UserTowerDown,
    Degraded::FallbackPopular,
    Degraded::ItemsMissing,
    Degraded::StaleHistory,
];

/// A reason in the words of the wire.
fn name(reason: Degraded) -> &'static str {
    match reason {
        Degraded::ShardUnreachable => "SHARD_UNREACHABLE",
        Degraded::Deadline => "DEADLINE",
        Degraded::UserTowerDown => "USER_TOWER_DOWN",
        Degraded::FallbackPopular => "FALLBACK_POPULAR",
        Degraded::ItemsMissing => "ITEMS_MISSING",
        Degraded::StaleHistory => "STALE_HISTORY",
    }
}

/// A recall was answered: how much of the eligible items was searched, and why it may be worse than it could be.
pub(crate) fn answered(coverage: f64, degraded: &BTreeSet<Degraded>) {
    histogram!("twotower_coverage").record(coverage);
    for reason in degraded {
        counter!("twotower_degraded_total", "reason" => name(*reason)).increment(1);
    }
}

/// Another member was asked, too, for one takes long.
pub(crate) fn hedged() {
    counter!("twotower_hedges_total").increment(1);
}

/// A recall was refused, for too many are under way.
pub(crate) fn shed() {
    counter!("twotower_shed_total").increment(1);
}

/// So many members of a kind serve, and so many are left out.
pub(crate) fn members(kind: &'static str, serving: usize, out: usize) {
    gauge!("twotower_members", "kind" => kind, "state" => "serving").set(serving as f64);
    gauge!("twotower_members", "kind" => kind, "state" => "out").set(out as f64);
}
