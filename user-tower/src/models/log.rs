//! Follows the catalog's log, for the models that read the rows of a generation.

use std::convert::Infallible;

use generation::deltas;
use tracing::error;

use crate::{error::Error, models::Models};

/// After so many looks at the log it is looked for a hole.
const LOOKS: u64 = 64;

impl Models {
    /// Takes into the rows of what is held whatever the catalog's log says since, for good.
    pub(crate) async fn follow_log(&self) -> Infallible {
        let mut told: Option<String> = None;
        for look in 0_u64.. {
            let taken_in = self.take_in(look.is_multiple_of(LOOKS)).await;
            let failed = taken_in.err().map(|cause| cause.to_string());
            if let Some(cause) = failed.as_ref().filter(|_| failed != told) {
                error!(cause, "the catalog's log cannot be followed");
            }
            told = failed;
            tokio::time::sleep(self.refresh).await;
        }
        std::future::pending().await
    }

    /// Takes in what the log has; returns the last failure, or a hole if it looks for one.
    async fn take_in(&self, look_for_hole: bool) -> Result<(), Error> {
        let mut done = Ok(());
        let snapshot = self.snapshot();
        for held in snapshot.held() {
            let Some(rows) = &held.model.rows else {
                continue;
            };
            let mut caught_up = rows.catch_up(&self.store).await;
            if caught_up.is_ok() && look_for_hole {
                let checked = deltas::check_end(&self.store, rows.delta()).await;
                caught_up = checked.map_err(Error::from);
            }
            done = done.and(caught_up);
        }
        done
    }
}
