//! Holds the item models of the artifacts asked for last, each loaded once.

use std::sync::{Arc, Mutex, PoisonError};

use encoder::{
    artifact::Artifact,
    session::{ItemEncoder, UserEncoder},
};
use generation::{error::Error as StoreError, store::Store};
use service::blocking::Blocking;
use tokio::sync::OnceCell;
use tracing::info;

use crate::error::Error;

/// An artifact's item model, ready to embed.
pub(crate) struct Model {
    /// The artifact it came from.
    pub(crate) artifact: Artifact,
    /// The item tower's sessions.
    pub(crate) encoder: ItemEncoder,
}

/// The models held, by embedding space.
pub(crate) struct Models {
    store: Store,
    keep: usize,
    sessions: usize,
    blocking: Blocking,
    slots: Mutex<Vec<Slot>>,
}

/// One space and its model, which may still be loading.
#[derive(Clone)]
struct Slot {
    space: String,
    model: Arc<OnceCell<Arc<Model>>>,
}

impl Models {
    /// Holds nothing yet; loads run on `blocking`.
    pub(crate) fn new(store: Store, keep: usize, sessions: usize, blocking: Blocking) -> Self {
        Self {
            store,
            keep,
            sessions,
            blocking,
            slots: Mutex::new(Vec::new()),
        }
    }

    /// Returns the model of `space`, loading it if it is not held.
    ///
    /// Concurrent calls for one space load it once; a failed load is forgotten, so that the next
    /// call tries again. The model used longest ago is let go when more than `keep` are held.
    ///
    /// # Errors
    /// [`Error::ArtifactUnknown`] if the store has no such artifact, [`Error::Artifact`] if it
    /// cannot be served.
    pub(crate) async fn get(&self, space: &str) -> Result<Arc<Model>, Error> {
        if let Some(model) = self.held(space) {
            return Ok(model);
        }
        self.check_known(space).await?;
        let slot = self.touch(space);
        let loaded = slot.model.get_or_try_init(|| self.load(space)).await;
        if loaded.is_err() {
            self.forget(&slot);
        }
        loaded.cloned()
    }

    /// The space's model if it is loaded, which is then the one used last.
    fn held(&self, space: &str) -> Option<Arc<Model>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let at = slots.iter().position(|slot| slot.space == space)?;
        let model = slots[at].model.get().cloned()?;
        slots[at..].rotate_left(1);
        Some(model)
    }

    /// Asks the store for the artifact, so that a name nobody published never takes a slot.
    async fn check_known(&self, space: &str) -> Result<(), Error> {
        match self.store.has_artifact(space).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(StoreError::Name { .. }) => Err(Error::ArtifactUnknown {
                space: space.to_owned(),
            }),
            Err(cause) => Err(cause.into()),
        }
    }

    /// Moves the space's slot to the newest end, making it if need be.
    fn touch(&self, space: &str) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = match slots.iter().position(|slot| slot.space == space) {
            Some(at) => slots.remove(at),
            None => Slot {
                space: space.to_owned(),
                model: Arc::new(OnceCell::new()),
            },
        };
        slots.push(slot.clone());
        let surplus = slots.len().saturating_sub(self.keep);
        slots.drain(..surplus);
        slot
    }

    /// Removes this very slot, unless another call has meanwhile made it good.
    fn forget(&self, failed: &Slot) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| !Arc::ptr_eq(&slot.model, &failed.model) || slot.model.initialized());
    }

    /// Opens the artifact, makes its sessions, and checks its golden vectors.
    async fn load(&self, space: &str) -> Result<Arc<Model>, Error> {
        let dir = self.store.fetch_artifact(space).await?;
        let sessions = self.sessions;
        let model = self
            .blocking
            .run(move || -> Result<Model, encoder::error::Error> {
                let artifact = Artifact::open(&dir)?;
                let encoder = ItemEncoder::open(&artifact, sessions)?;
                artifact.check_golden(&UserEncoder::open(&artifact, 1)?, &encoder)?;
                Ok(Model { artifact, encoder })
            })
            .await??;
        info!(space = model.artifact.space(), sessions, "artifact loaded");
        Ok(Arc::new(model))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use encoder::sample::Sample;
    use futures::future;
    use tempfile::TempDir;

    use super::*;

    /// Models over a store with two artifacts.
    async fn models(keep: usize) -> (Models, [String; 2], TempDir) {
        let library = encoder::session::library().unwrap();
        encoder::session::init(&library).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store").to_str().unwrap()).unwrap();
        let mut spaces = [String::new(), String::new()];
        for (seed, space) in (1..).zip(&mut spaces) {
            let sample = Sample {
                seed,
                ..Sample::default()
            };
            let artifact = dir.path().join(seed.to_string());
            *space = sample.write(&artifact).unwrap();
            store.put_artifact(&artifact, space).await.unwrap();
        }
        (
            Models::new(store, keep, 1, Blocking::new("opening", 1)),
            spaces,
            dir,
        )
    }

    #[tokio::test]
    async fn asks_at_once_load_once() {
        let (models, [space, _], _dir) = models(2).await;
        let asks = future::join_all((0..8).map(|_| models.get(&space))).await;
        let first = asks[0].as_ref().unwrap();
        assert!(
            asks.iter()
                .all(|model| Arc::ptr_eq(model.as_ref().unwrap(), first))
        );
    }

    #[tokio::test]
    async fn the_model_used_longest_ago_is_let_go() {
        let (models, [a, b], _dir) = models(1).await;
        let first = models.get(&a).await.unwrap();
        assert!(Arc::ptr_eq(&first, &models.get(&a).await.unwrap()));
        models.get(&b).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &models.get(&a).await.unwrap()));
    }

    #[tokio::test]
    async fn a_name_that_nobody_published_takes_no_slot() {
        let (models, [space, _], _dir) = models(1).await;
        let held = models.get(&space).await.unwrap();
        assert!(models.get("..").await.is_err());
        assert!(models.get(&"0".repeat(32)).await.is_err());
        assert!(Arc::ptr_eq(&held, &models.get(&space).await.unwrap()));
    }
}
