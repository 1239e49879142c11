//! Generations that somebody still needs, whatever CURRENT names.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Who needs which generations; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    counts: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// The need of one generation, as long as it lives.
#[derive(Debug)]
pub struct Lease {
    leases: Leases,
    generation: String,
}

impl Leases {
    /// Notes that `generation` is needed until the lease is dropped.
    #[must_use]
    pub fn take(&self, generation: &str) -> Lease {
        *self.lock().entry(generation.to_owned()).or_default() += 1;
        Lease {
            leases: self.clone(),
            generation: generation.to_owned(),
        }
    }

    /// Whether somebody needs `generation`.
    pub fn needs(&self, generation: &str) -> bool {
        self.lock().contains_key(generation)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut counts = self.leases.lock();
        if let Some(count) = counts.get_mut(&self.generation) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.generation);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_needed_until_the_last_lease_is_dropped() {
        let leases = Leases::default();
        assert!(!leases.needs("a"));
        let (first, second) = (leases.take("a"), leases.take("a"));
        drop(first);
        assert!(leases.needs("a"));
        assert!(!leases.needs("b"));
        drop(second);
        assert!(!leases.needs("a"));
    }
}
