//! What is known of calls to members in general: how long they take, and how many may be made once more.

use std::time::Duration;

use crate::{config::RetriesConfig, pace::Pace, retries::Retries};

/// Shared by all calls of a gateway.
#[derive(Debug)]
pub(crate) struct Calls {
    /// How long searches take.
    pub(crate) search: Pace,
    /// How long reading items takes.
    pub(crate) items: Pace,
    /// How long listing popular items takes.
    pub(crate) popular: Pace,
    /// How many calls may be made once more.
    pub(crate) retries: Retries,
    hedge_least: Duration,
}

impl Calls {
    /// Nothing is known yet.
    pub(crate) fn new(config: &RetriesConfig) -> Self {
        let pace = || Pace::new(config.hedge_at);
        Self {
            search: pace(),
            items: pace(),
            popular: pace(),
            retries: Retries::new(config.share, config.burst),
            hedge_least: config.hedge_least,
        }
    }

    /// After how long another member is asked, too; none before enough is known.
    pub(crate) fn hedge_after(&self, pace: &Pace) -> Option<Duration> {
        let quantile = pace.quantile()?;
        Some(quantile.max(self.hedge_least))
    }
}
