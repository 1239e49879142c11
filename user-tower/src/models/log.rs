//! Follows the catalog's log, for the models that read the rows of a generation.

use std::convert::Infallible;

use tracing::error;

use crate::models::Models;

impl Models {
    /// Takes into the rows of what is held whatever the catalog's log says since, for good.
    pub(crate) async fn follow_log(&self) -> Infallible {
        let mut told: Option<String> = None;
        loop {
            let mut failed = None;
            let snapshot = self.snapshot();
            for held in snapshot.held() {
                if let Some(rows) = &held.model.rows
                    && let Err(cause) = rows.catch_up(&self.store).await
                {
                    failed = Some(cause.to_string());
                }
            }
            drop(snapshot);
            if let Some(cause) = failed.as_ref().filter(|_| failed != told) {
                error!(cause, "the catalog's log cannot be followed");
            }
            told = failed;
            tokio::time::sleep(self.refresh).await;
        }
    }
}
