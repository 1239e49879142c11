//! How a call's time is split over its steps.

use std::time::Duration;

use tokio::time::Instant;

/// The instants at which the steps of one recall give up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// When the call began.
    pub(crate) start: Instant,
    /// The user must be embedded by then: half way to the soft deadline.
    pub(crate) embed: Instant,
    /// The soft deadline: shards that have not answered by then are left out.
    pub(crate) search: Instant,
    /// Shards that are asked once more for all their hits must have answered by then: a quarter of the way from the soft deadline to
    /// the end.
    pub(crate) again: Instant,
    /// Titles that have not come by then are left out: half way from the soft deadline to the end.
    pub(crate) items: Instant,
}

impl Budget {
    /// For searches after the first, which may have taken all the time that there is for searches.
    pub(crate) fn further(self) -> Self {
        Self {
            search: self.again,
            ..self
        }
    }

    /// Splits the time `remaining` from now; `soft` is the share of it that ends at the soft deadline.
    pub(crate) fn new(remaining: Duration, soft: f64) -> Self {
        let start = Instant::now();
        let at = |share: f64| start + remaining.mul_f64(share);
        Self {
            start,
            embed: at(soft / 2.0),
            search: at(soft),
            again: at((3.0 * soft + 1.0) / 4.0),
            items: at((1.0 + soft) / 2.0),
        }
    }
}
