//! What is held at one moment: an immutable list that a call keeps until it is answered.

use std::{collections::BTreeMap, sync::Arc};

use generation::store::Current;

use crate::{error::Error, shards::held::Held};

/// The generations held at one moment.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    held: Vec<Arc<Held>>,
    answering: Option<String>,
    refused: BTreeMap<String, String>,
}

impl Snapshot {
    /// The generations held, newest first.
    pub(crate) fn held(&self) -> &[Arc<Held>] {
        &self.held
    }

    /// Returns the generation `id`; empty means the one that answers by default.
    ///
    /// # Errors
    /// [`Error::NoGeneration`] if none answers yet, [`Error::GenerationRefused`] if it could not
    /// be opened, [`Error::GenerationNotHeld`] if it is not held for another reason.
    pub(crate) fn get(&self, id: &str) -> Result<&Arc<Held>, Error> {
        let id = match id {
            "" => self.answering().ok_or(Error::NoGeneration)?,
            id => id,
        };
        self.find(id).ok_or_else(|| match self.refused.get(id) {
            Some(cause) => Error::GenerationRefused {
                generation: id.to_owned(),
                cause: cause.clone(),
            },
            None => Error::GenerationNotHeld {
                asked: id.to_owned(),
                held: self.ids().map(str::to_owned).collect(),
            },
        })
    }

    /// The generation that answers where a call names none: the one that CURRENT says serves, or
    /// the last good one while that cannot be held.
    pub(crate) fn answering(&self) -> Option<&str> {
        self.answering.as_deref()
    }

    /// The newest delta that the generation which answers has taken up.
    pub(crate) fn delta(&self) -> Option<u64> {
        Some(self.find(self.answering()?)?.delta())
    }

    /// Whether `id` is held.
    pub(crate) fn holds(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    /// The ids held, newest first.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.held.iter().map(|held| held.manifest.id.as_str())
    }

    /// Adds a generation that was opened.
    pub(crate) fn add(&mut self, held: Arc<Held>) {
        self.refused.remove(&held.manifest.id);
        self.held.push(held);
        self.held.sort_by(|a, b| b.manifest.id.cmp(&a.manifest.id));
    }

    /// Remembers why a generation could not be opened.
    pub(crate) fn refuse(&mut self, id: &str, cause: &Error) {
        self.refused.insert(id.to_owned(), cause.to_string());
    }

    /// Lets go of everything that `keep` does not say.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.held.retain(|held| keep(&held.manifest.id));
        self.refused.retain(|id, _| keep(id));
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
