//! What is held at one moment: an immutable list that a call keeps until it is answered.

use std::sync::Arc;

use generation::store::Current;

use crate::{
    error::Error,
    models::model::{Held, Model},
};

/// The generations held at one moment, newest first.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    held: Vec<Arc<Held>>,
    answering: Option<String>,
}

impl Snapshot {
    /// The generations held, newest first.
    pub(crate) fn held(&self) -> &[Arc<Held>] {
        &self.held
    }

    /// Returns the generation `id`; empty means the one that answers by default.
    ///
    /// # Errors
    /// [`Error::NoGeneration`] if none answers yet, [`Error::GenerationNotHeld`].
    pub(crate) fn get(&self, id: &str) -> Result<&Arc<Held>, Error> {
        let id = match id {
            "" => self.answering().ok_or(Error::NoGeneration)?,
            id => id,
        };
        self.find(id).ok_or_else(|| Error::GenerationNotHeld {
            asked: id.chars().take(80).collect(),
            held: self.ids().map(str::to_owned).collect(),
        })
    }

    /// The generation that answers where a call names none: the one that CURRENT says serves, or
    /// the last good one while that cannot be held.
    pub(crate) fn answering(&self) -> Option<&str> {
        self.answering.as_deref()
    }

    /// Whether `id` is held.
    pub(crate) fn holds(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    /// The ids held, newest first.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.held.iter().map(|held| held.manifest.id.as_str())
    }

    /// The model of `space`, if a generation has it already.
    pub(crate) fn model_of(&self, space: &str) -> Option<Arc<Model>> {
        let held = self
            .held
            .iter()
            .find(|held| held.model.artifact.space == space);
        held.map(|held| Arc::clone(&held.model))
    }

    /// Adds a generation.
    pub(crate) fn add(&mut self, held: Held) {
        self.held.push(Arc::new(held));
        self.held.sort_by(|a, b| b.manifest.id.cmp(&a.manifest.id));
    }

    /// Lets go of everything that `keep` does not say.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.held.retain(|held| keep(&held.manifest.id));
    }

    /// Chooses which generation answers, given what CURRENT names; returns whether that is another than before.
    pub(crate) fn follow(&mut self, current: &Current) -> bool {
        let before = self.answering.take();
        let candidates = [
            Some(current.serving.clone()),
            before.clone(),
            current.previous.clone(),
        ];
        self.answering = candidates.into_iter().flatten().find(|id| self.holds(id));
        self.answering != before
    }

    fn find(&self, id: &str) -> Option<&Arc<Held>> {
        self.held.iter().find(|held| held.manifest.id == id)
    }
}
