//! Generations that somebody still needs, whatever CURRENT names.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Who needs which generations; clones share it.
#[derive(Clone, Debug)]
pub struct Leases {
    linger: Duration,
    needs: Arc<Mutex<BTreeMap<String, Need>>>,
}

/// The need of one generation, as long as it lives.
#[derive(Debug)]
pub struct Lease {
    leases: Leases,
    generation: String,
}

#[derive(Debug)]
struct Need {
    leases: usize,
    /// When the last of them ended.
    ended: Instant,
}

impl Leases {
    /// A generation is needed for so much longer than its last lease: who holds one may have to take it anew.
    pub fn new(linger: Duration) -> Self {
        Self {
            linger,
            needs: Arc::default(),
        }
    }

    /// Notes that `generation` is needed until the lease is dropped.
    #[must_use]
    pub fn take(&self, generation: &str) -> Lease {
        let mut needs = self.lock();
        needs.retain(|_, need| need.lasts(self.linger));
        let need = needs.entry(generation.to_owned()).or_insert_with(|| Need {
            leases: 0,
            ended: Instant::now(),
        });
        need.leases += 1;
        Lease {
            leases: self.clone(),
            generation: generation.to_owned(),
        }
    }

    /// Whether somebody needs `generation`.
    pub fn needs(&self, generation: &str) -> bool {
        let needs = self.lock();
        let need = needs.get(generation);
        need.is_some_and(|need| need.lasts(self.linger))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Need>> {
        self.needs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Need {
    fn lasts(&self, linger: Duration) -> bool {
        self.leases > 0 || self.ended.elapsed() < linger
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(need) = self.leases.lock().get_mut(&self.generation) {
            need.leases -= 1;
            need.ended = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_needed_until_the_last_lease_is_dropped() {
        let leases = Leases::new(Duration::ZERO);
        assert!(!leases.needs("a"));
        let (first, second) = (leases.take("a"), leases.take("a"));
        drop(first);
        assert!(leases.needs("a"));
        assert!(!leases.needs("b"));
        drop(second);
        assert!(!leases.needs("a"));
    }

    #[test]
    fn it_is_needed_a_while_longer_so_that_a_lease_can_be_taken_anew() {
        let leases = Leases::new(Duration::from_secs(3_600));
        drop(leases.take("a"));
        assert!(leases.needs("a"));
        assert!(!leases.needs("b"));
    }
}
