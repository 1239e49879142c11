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

/// How many times longer it waits after a failure.
const PATIENCE: u32 = 10;
/// After so many looks at the log it is looked for a hole.
const LOOKS: u64 = 64;

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
            applying: Blocking::new("applying", 1),
            news: Arc::new(Notify::new()),
        }
    }

    /// Keeps what `shards` holds up to the log for good; looks every `refresh`, and at once where this member put a delta.
    pub(crate) async fn follow(&self, shards: &Shards, refresh: Duration) -> Infallible {
        let mut told: Option<String> = None;
        for look in 0_u64.. {
            let mut found = None;
            // One delta of each in turn, what answers first.
            loop {
                let snapshot = shards.snapshot();
                let (mut moved, answering) = (false, snapshot.answering());
                let first = |held: &&Arc<Held>| answering != Some(held.manifest.id.as_str());
                let mut all: Vec<&Arc<Held>> = snapshot.held().iter().collect();
                all.sort_by_key(first);
                for held in all {
                    match self.step(held).await {
                        Ok(more) => moved |= more,
                        Err(cause) => found = Some(cause),
                    }
                }
                if !moved {
                    break;
                }
            }
            if found.is_none() && look.is_multiple_of(LOOKS) {
                found = self.find_hole(shards).await.err();
            }
            let found = found.map(|cause| cause.to_string());
            if let Some(cause) = found.as_ref().filter(|cause| told.as_ref() != Some(cause)) {
                error!(cause, "the catalog's log cannot be followed");
            }
            // What failed may take long to fail again.
            let pause = refresh * if found.is_some() { PATIENCE } else { 1 };
            told = found;
            // Whether it was told or the time has passed makes no difference.
            let _ = timeout(pause, self.news.notified()).await;
        }
        std::future::pending().await
    }

    /// Applies all that the log has and `held` has not.
    ///
    /// # Errors
    /// As [`Log::step`], or if deltas are missing from the log.
    pub(crate) async fn catch_up(&self, held: &Arc<Held>) -> Result<(), Error> {
        while self.step(held).await? {}
        Ok(deltas::check_end(&self.store, held.delta()).await?)
    }

    /// Applies the next delta; false if there is none.
    ///
    /// # Errors
    /// If it cannot be read or embedded; then `held` stays as it is before it.
    async fn step(&self, held: &Arc<Held>) -> Result<bool, Error> {
        let number = held.delta() + 1;
        let Some(changes) = deltas::read(&self.store, number).await? else {
            return Ok(false);
        };
        let vectors = self.vectors(number, &held.manifest.space, &changes).await?;
        let held = Arc::clone(held);
        let apply = move || held.apply(number, &changes, &vectors);
        self.applying.run(apply).await??;
        Ok(true)
    }

    /// Refuses a log that goes on where a delta of it is missing.
    async fn find_hole(&self, shards: &Shards) -> Result<(), Error> {
        let snapshot = shards.snapshot();
        let ends = snapshot.held().iter().map(|held| held.delta());
        match ends.min() {
            Some(end) => Ok(deltas::check_end(&self.store, end).await?),
            None => Ok(()),
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
