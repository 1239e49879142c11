//! Applies the catalog's log to the generations held, delta by delta.

pub(crate) mod embed;
pub(crate) mod writer;

use std::{convert::Infallible, sync::Arc, time::Duration};

use generation::{
    deltas::{self, Changes, Vectors},
    store::Store,
};
use service::blocking::Blocking;
use tokio::{sync::Notify, time::timeout};
use tracing::error;

use crate::{
    error::Error,
    models::Models,
    shards::{Shards, held::Held},
};

/// The catalog's log, and what it takes to read it in the embedding space of any generation.
#[derive(Clone)]
pub(crate) struct Log {
    store: Store,
    models: Arc<Models>,
    embedding: Blocking,
    applying: Blocking,
    /// Told when this member put a delta.
    news: Arc<Notify>,
}

impl Log {
    /// The log of `store`; embeds on `embedding`.
    pub(crate) fn new(store: Store, models: Arc<Models>, embedding: Blocking) -> Self {
        Self {
            store,
            models,
            embedding,
            applying: Blocking::new(1),
            news: Arc::new(Notify::new()),
        }
    }

    /// Keeps what `shards` holds up to the log for good; looks every `refresh`, and at once where this member put a delta.
    pub(crate) async fn follow(&self, shards: &Shards, refresh: Duration) -> Infallible {
        let mut told: Option<String> = None;
        loop {
            let mut found = None;
            for held in shards.snapshot().held() {
                found = self.catch_up(held).await.err().or(found);
            }
            let found = found.map(|cause| cause.to_string());
            if let Some(cause) = found.as_ref().filter(|cause| told.as_ref() != Some(cause)) {
                error!(cause, "the catalog's log cannot be followed");
            }
            told = found;
            // Whether it was told or the time has passed makes no difference.
            let _ = timeout(refresh, self.news.notified()).await;
        }
    }

    /// Applies what the log has that `held` has not.
    ///
    /// # Errors
    /// If a delta cannot be read or embedded; then `held` stays as it is before that one.
    pub(crate) async fn catch_up(&self, held: &Arc<Held>) -> Result<(), Error> {
        loop {
            let number = held.delta() + 1;
            let Some(changes) = deltas::read(&self.store, number).await? else {
                return Ok(());
            };
            let vectors = self.vectors(number, &held.manifest.space, &changes).await?;
            let held = Arc::clone(held);
            let apply = move || held.apply(number, &changes, &vectors);
            self.applying.run(apply).await??;
        }
    }

    /// The vectors of a delta in a space: those that somebody put, else those that this member makes and puts.
    async fn vectors(&self, number: u64, space: &str, changes: &Changes) -> Result<Vectors, Error> {
        let read = || deltas::read_vectors(&self.store, number, space);
        if let Some(vectors) = read().await? {
            return Ok(vectors);
        }
        let items = embed::stored(changes)?;
        let model = self.models.get(space).await?;
        let made = embed::embed(&model, items, &self.embedding).await?;
        deltas::put_vectors(&self.store, number, space, &made).await?;
        // Another member may have been first; all go by the same.
        Ok(read().await?.unwrap_or(made))
    }
}
